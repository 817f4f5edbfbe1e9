#include "tasks/helmet/dataset.h"
#include "tasks/helmet/draws.h"
#include "tasks/helmet/rows.h"

namespace h1bench::tasks::helmet {
namespace {

constexpr std::size_t kShots = 2;

/// The items of a file, then those that upstream's shuffle puts first.
Result<std::vector<Item>> ReadShuffled(Reading& reading,
                                       const std::function<Result<Item>(const Row&)>& make) {
  const std::string name =
      fmt::format(fmt::runtime(reading.dataset.files[0]), reading.dataset.sizes[reading.place]);
  std::vector<Item> items;
  H1_ASSIGN_OR_RETURN(const std::string digest,
                      ForEachRow(
                          reading.folder / name, [](std::int64_t) { return true; },
                          [&](std::int64_t number, const Row& row) -> Status {
                            H1_ASSIGN_OR_RETURN(Item item, make(row));
                            item.row = number;
                            items.push_back(std::move(item));
                            return Status::Ok();
                          }));
  reading.files.emplace_back(name, digest);
  return Shuffled(items, kSeed, static_cast<std::size_t>(reading.samples));
}

Result<Item> JsonKvItem(const Row& row) {
  Item item;
  H1_ASSIGN_OR_RETURN(std::string context, row.Text("context"));
  H1_ASSIGN_OR_RETURN(item.question, row.Text("question"));
  H1_ASSIGN_OR_RETURN(item.answers, row.Texts("answer"));
  H1_ASSIGN_OR_RETURN(const auto demos, row.Pairs("demos"));
  for (std::size_t i = 0; i < std::min(kShots, demos.size()); ++i)
    item.demos +=
        fmt::format("Key: {}\nCorresponding value: {}\n\n", demos[i].first, demos[i].second);
  item.context = [text = std::move(context)] { return text; };
  return item;
}

/// Upstream's rows have the answers as "answer" or, as RULER's own, "outputs".
Result<Item> RulerItem(const Row& row) {
  Item item;
  H1_ASSIGN_OR_RETURN(std::string context, row.Text("context"));
  H1_ASSIGN_OR_RETURN(item.question, row.Text("query"));
  H1_ASSIGN_OR_RETURN(std::string type, row.Text("type_needle_v"));
  H1_ASSIGN_OR_RETURN(item.answers, row.Texts(row.Has("answer") ? "answer" : "outputs"));
  item.more.emplace_back("type_needle_v", std::move(type));
  item.context = [text = std::move(context)] { return text; };
  return item;
}

}  // namespace

Result<std::vector<Item>> ReadJsonKv(Reading& reading) { return ReadShuffled(reading, JsonKvItem); }
Result<std::vector<Item>> ReadRuler(Reading& reading) { return ReadShuffled(reading, RulerItem); }

}  // namespace h1bench::tasks::helmet
