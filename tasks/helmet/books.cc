#include <algorithm>
#include <memory>

#include "tasks/helmet/dataset.h"
#include "tasks/helmet/draws.h"
#include "tasks/helmet/rows.h"

/// InfiniteBench's questions about whole novels (Zhang et al., arXiv 2402.13718): rows of {id,
/// context, input, answer: [..], options: [..]}.
namespace h1bench::tasks::helmet {
namespace {

constexpr std::size_t kShots = 2;
constexpr std::string_view kOmitted = " ... [the rest of the text is omitted]";

struct Book {
  std::int64_t row = 0, id = 0;
  std::string question, options;
  std::vector<std::string> answers;
  std::shared_ptr<const std::string> text;
};

/// "A. first\nB. second ..."; the answers become the letter and the letter with its option.
Status SetOptions(const Row& row, Book& book) {
  H1_ASSIGN_OR_RETURN(const std::vector<std::string> options, row.Texts("options"));
  if (options.size() != 4)
    return Corrupt("{}: options: expected 4, found {}", row.place(), options.size());
  const auto right = std::find(options.begin(), options.end(), book.answers[0]);
  if (right == options.end())
    return Corrupt("{}: answer: expected one of the options", row.place());
  const auto letter = [](std::ptrdiff_t place) {
    return std::string(1, static_cast<char>('A' + place));
  };
  for (std::ptrdiff_t i = 0; i < 4; ++i)
    book.options += fmt::format("{}{}. {}", i == 0 ? "" : "\n", letter(i),
                                options[static_cast<std::size_t>(i)]);
  const std::string answer = letter(right - options.begin());
  book.answers = {answer, answer + ". " + *right};
  return Status::Ok();
}

Result<Book> ReadBook(const Row& row, bool choice) {
  Book book;
  H1_ASSIGN_OR_RETURN(book.id, row.Integer("id"));
  H1_ASSIGN_OR_RETURN(book.question, row.Text("input"));
  H1_ASSIGN_OR_RETURN(std::string text, row.Text("context"));
  H1_ASSIGN_OR_RETURN(book.answers, row.Texts("answer"));
  book.text = std::make_shared<const std::string>(std::move(text));
  if (choice) H1_RETURN_IF_ERROR(SetOptions(row, book));
  return book;
}

/// Two examples without their stories: the first of the others, shuffled.
Result<std::string> DemoText(const std::vector<Book>& books, const Book& book, bool choice,
                             const std::string& file) {
  std::vector<const Book*> others;
  for (const Book& one : books) {
    if (one.id != book.id) others.push_back(&one);
  }
  if (others.size() < kShots)
    return Corrupt("{}: expected {} other questions to show, found {}", file, kShots,
                   others.size());
  std::string text = "For example:\n\n";
  for (const Book* one : Shuffled(others, kSeed, kShots)) {
    text += "[story text]\nQuestion: " + one->question;
    if (choice) text += "\nOptions:\n" + one->options;
    text += "\nAnswer: " + one->answers[0] + "\n\n";
  }
  return text + "Now, read the following story:\n\n";
}

/// The story cut to `tokens` with upstream's note behind it. Upstream counts with Llama 2's
/// tokenizer and its begin-of-text.
std::string CutStory(const std::string& text, std::int64_t tokens, const TaskOptions& options) {
  const std::int64_t count = options.count_tokens(text);
  if (count + 1 <= tokens) return text;
  const std::int64_t kept = tokens - (options.count_tokens(kOmitted) + 1);
  return text.substr(0, options.cut_tokens(text, count - std::max<std::int64_t>(0, kept))) +
         std::string(kOmitted);
}

}  // namespace

Result<std::vector<Item>> ReadBooks(Reading& reading) {
  const bool choice = reading.dataset.metric == Metric::kChoice;
  const std::int64_t tokens = reading.dataset.sizes[reading.place];
  const std::string base = reading.dataset.files[0];
  std::string name = fmt::format("{}_{}.jsonl", base, tokens);
  std::error_code error;
  const bool ready = std::filesystem::exists(reading.folder / name, error);
  if (!ready) name = base + ".jsonl";
  std::vector<Book> books;
  H1_ASSIGN_OR_RETURN(const std::string digest,
                      ForEachRow(
                          reading.folder / name, [](std::int64_t) { return true; },
                          [&](std::int64_t row, const Row& json) -> Status {
                            H1_ASSIGN_OR_RETURN(Book book, ReadBook(json, choice));
                            book.row = row;
                            books.push_back(std::move(book));
                            return Status::Ok();
                          }));
  reading.files.emplace_back(name, digest);
  reading.own_cut = !ready;
  std::vector<Item> items;
  for (const Book& book : Shuffled(books, kSeed, static_cast<std::size_t>(reading.samples))) {
    Item item;
    item.row = book.row;
    item.id = std::to_string(book.id);
    item.question = book.question;
    item.answers = book.answers;
    H1_ASSIGN_OR_RETURN(item.demos,
                        DemoText(books, book, choice, (reading.folder / name).string()));
    if (choice) item.more.emplace_back("options", book.options);
    item.context = [text = ready ? *book.text : CutStory(*book.text, tokens, reading.options)] {
      return text;
    };
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace h1bench::tasks::helmet
