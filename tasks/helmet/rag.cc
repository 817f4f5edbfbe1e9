#include <cmath>

#include "tasks/helmet/dataset.h"
#include "tasks/helmet/draws.h"
#include "tasks/helmet/passages.h"
#include "tasks/helmet/rows.h"

/// Retrieval-augmented questions: data/kilt, rows of {question, answers, ctxs: [{title, text}]},
/// with "id" or without (then the question is its own), PopQA's with "s_pop".
namespace h1bench::tasks::helmet {
namespace {

constexpr std::size_t kShots = 2;
constexpr double kPopularity = 3;  // popqa_3: fewer than 10^3 page views

bool IsPopQa(const Reading& reading) { return std::string_view(reading.dataset.name) == "popqa"; }

/// The row's key, or nothing when PopQA's rule leaves it out.
Result<std::optional<std::string>> Key(const Reading& reading, const Row& row,
                                       const std::string& key) {
  H1_ASSIGN_OR_RETURN(std::string id, row.Text(key));
  if (!IsPopQa(reading)) return std::optional(std::move(id));
  H1_ASSIGN_OR_RETURN(const double popularity, row.Number("s_pop"));
  if (!(std::log10(popularity) < kPopularity)) return std::optional<std::string>();
  return std::optional(std::move(id));
}

Result<std::string> Documents(const Row& row, Passages* passages,
                              std::vector<std::uint32_t>* places) {
  std::string joined;
  H1_RETURN_IF_ERROR(row.Each("ctxs", [&](const Row& document) -> Status {
    H1_ASSIGN_OR_RETURN(const std::string title, document.Text("title"));
    H1_ASSIGN_OR_RETURN(const std::string text, document.Text("text"));
    std::string passage = fmt::format("Document (Title: {}): {}", title, text);
    if (passages != nullptr) {
      places->push_back(passages->Add(std::move(passage)));
    } else {
      joined += (joined.empty() ? "" : "\n\n") + passage;
    }
    return Status::Ok();
  }));
  return joined;
}

/// The worked examples that a question may get.
struct Demos {
  std::vector<std::string> keys, texts;
};

Result<Demos> ReadDemos(Reading& reading, const std::string& key) {
  Demos demos;
  const std::string name = reading.dataset.files[1];
  H1_ASSIGN_OR_RETURN(
      const std::string digest,
      ForEachRow(
          reading.folder / name, [](std::int64_t) { return true; },
          [&](std::int64_t, const Row& row) -> Status {
            H1_ASSIGN_OR_RETURN(std::optional<std::string> id, Key(reading, row, key));
            if (!id) return Status::Ok();
            H1_ASSIGN_OR_RETURN(const std::string documents, Documents(row, nullptr, nullptr));
            H1_ASSIGN_OR_RETURN(const std::string question, row.Text("question"));
            H1_ASSIGN_OR_RETURN(const auto answers, row.Texts("answers"));
            demos.keys.push_back(std::move(*id));
            demos.texts.push_back(
                fmt::format("{}\n\nQuestion: {}\nAnswer: {}", documents, question, answers[0]));
            return Status::Ok();
          }));
  reading.files.emplace_back(name, digest);
  return demos;
}

/// Two of them, shuffled by a seed of the question; PopQA has one set, so the question's own are
/// left out first.
Result<std::string> DemoText(const Reading& reading, const Demos& all, const std::string& id) {
  Demos others;
  const bool own_set = IsPopQa(reading);
  for (std::size_t i = 0; own_set && i < all.keys.size(); ++i) {
    if (all.keys[i] == id) continue;
    others.keys.push_back(all.keys[i]);
    others.texts.push_back(all.texts[i]);
  }
  const Demos& from = own_set ? others : all;
  const std::vector<std::size_t> drawn = DrawDistinct(from.keys, TextSeed(id), kShots);
  if (drawn.size() < kShots)
    return Corrupt("{}: expected {} different questions to show, found {}",
                   (reading.folder / reading.dataset.files[1]).string(), kShots, drawn.size());
  return from.texts[drawn[0]] + "\n\n" + from.texts[drawn[1]] + "\n\n";
}

}  // namespace

Result<std::vector<Item>> ReadQuestions(Reading& reading) {
  const std::string name =
      fmt::format(fmt::runtime(reading.dataset.files[0]), reading.dataset.sizes[reading.place]);
  const auto every = [](std::int64_t) { return true; };
  std::vector<std::optional<std::string>> ids;
  std::string key;
  H1_ASSIGN_OR_RETURN(
      const std::string digest,
      ForEachRow(reading.folder / name, every, [&](std::int64_t, const Row& row) -> Status {
        if (key.empty()) key = row.Has("id") ? "id" : "question";
        H1_ASSIGN_OR_RETURN(std::optional<std::string> id, Key(reading, row, key));
        ids.push_back(std::move(id));
        return Status::Ok();
      }));
  reading.files.emplace_back(name, digest);
  std::set<std::string> keys;
  for (const auto& id : ids) {
    if (id) keys.insert(*id);
  }
  const std::set<std::string> chosen = SampleKeys(keys, reading.samples);
  const auto wanted = [&](std::int64_t row) {
    const auto& id = ids[static_cast<std::size_t>(row)];
    return id && chosen.count(*id) != 0;
  };
  H1_ASSIGN_OR_RETURN(const Demos demos, ReadDemos(reading, key));
  const auto passages = std::make_shared<Passages>();
  std::vector<Item> items;
  H1_RETURN_IF_ERROR(
      ForEachRow(reading.folder / name, wanted, [&](std::int64_t number, const Row& row) -> Status {
        Item item;
        item.row = number;
        item.id = *ids[static_cast<std::size_t>(number)];
        H1_ASSIGN_OR_RETURN(item.question, row.Text("question"));
        H1_ASSIGN_OR_RETURN(item.answers, row.Texts("answers"));
        H1_ASSIGN_OR_RETURN(item.demos, DemoText(reading, demos, item.id));
        std::vector<std::uint32_t> places;
        H1_RETURN_IF_ERROR(Documents(row, passages.get(), &places).status());
        item.context = [passages, places = std::move(places)] { return passages->Join(places); };
        items.push_back(std::move(item));
        return Status::Ok();
      }).status());
  return items;
}

}  // namespace h1bench::tasks::helmet
