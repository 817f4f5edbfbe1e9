#include <algorithm>

#include "tasks/helmet/dataset.h"
#include "tasks/helmet/draws.h"
#include "tasks/helmet/passages.h"
#include "tasks/helmet/rows.h"

/// MS MARCO passages to be ordered: data/msmarco, rows of {qid, query, ctxs: [{id, text, label,
/// title?}]}.
namespace h1bench::tasks::helmet {
namespace {

constexpr std::size_t kShots = 2;

struct Passage {
  std::string id, title, text;
  bool has_title = false;
  int label = 0;
};

struct Query {
  std::string qid, text;
  std::vector<Passage> passages;
};

Result<Query> ReadQuery(const Row& row) {
  Query query;
  H1_ASSIGN_OR_RETURN(query.qid, row.Text("qid"));
  H1_ASSIGN_OR_RETURN(query.text, row.Text("query"));
  H1_RETURN_IF_ERROR(row.Each("ctxs", [&](const Row& one) -> Status {
    Passage passage;
    H1_ASSIGN_OR_RETURN(passage.id, one.Text("id"));
    H1_ASSIGN_OR_RETURN(passage.text, one.Text("text"));
    H1_ASSIGN_OR_RETURN(const std::int64_t label, one.Integer("label"));
    passage.label = static_cast<int>(std::clamp<std::int64_t>(label, -1000, 1000));
    passage.has_title = one.Has("title");
    if (passage.has_title) {
      H1_ASSIGN_OR_RETURN(passage.title, one.Text("title"));
    }
    query.passages.push_back(std::move(passage));
    return Status::Ok();
  }));
  if (query.passages.empty())
    return Corrupt("{}: ctxs: expected a list that is not empty", row.place());
  return query;
}

/// Whether titles are shown is a question's to say, of its examples too.
std::string Shown(const Passage& passage, bool titles) {
  return titles ? fmt::format("[ID: {}] Document (Title: {}): {}", passage.id, passage.title,
                              passage.text)
                : fmt::format("[ID: {}] Document: {}", passage.id, passage.text);
}

/// Ids, the most relevant first; equals in the file's order.
std::vector<const Passage*> Ranked(const Query& query) {
  std::vector<const Passage*> order;
  for (const Passage& passage : query.passages) order.push_back(&passage);
  std::stable_sort(order.begin(), order.end(),
                   [](const Passage* a, const Passage* b) { return a->label > b->label; });
  return order;
}

std::string DemoText(const Query& demo, bool titles) {
  std::string text, ranking;
  for (const Passage& passage : demo.passages) text += Shown(passage, titles) + "\n\n";
  for (const Passage* passage : Ranked(demo))
    ranking += (ranking.empty() ? "" : " > ") + passage->id;
  return fmt::format("{}Query: {}\nRanking: {}\n\n", text, demo.text, ranking);
}

class Reranking {
 public:
  explicit Reranking(Reading& reading) : reading_(reading) {}

  Result<std::vector<Item>> Read() {
    const std::string name = fmt::format(fmt::runtime(reading_.dataset.files[0]),
                                         reading_.dataset.sizes[reading_.place]);
    const auto every = [](std::int64_t) { return true; };
    std::vector<std::string> qids;
    H1_ASSIGN_OR_RETURN(
        const std::string digest,
        ForEachRow(reading_.folder / name, every, [&](std::int64_t, const Row& row) -> Status {
          H1_ASSIGN_OR_RETURN(std::string qid, row.Text("qid"));
          qids.push_back(std::move(qid));
          return Status::Ok();
        }));
    reading_.files.emplace_back(name, digest);
    chosen_ = SampleKeys({qids.begin(), qids.end()}, reading_.samples);
    const auto wanted = [&](std::int64_t row) {
      return chosen_.count(qids[static_cast<std::size_t>(row)]) != 0;
    };
    std::vector<std::pair<std::int64_t, Query>> queries;
    H1_RETURN_IF_ERROR(ForEachRow(reading_.folder / name, wanted,
                                  [&](std::int64_t row, const Row& json) -> Status {
                                    H1_ASSIGN_OR_RETURN(Query query, ReadQuery(json));
                                    queries.emplace_back(row, std::move(query));
                                    return Status::Ok();
                                  })
                           .status());
    H1_RETURN_IF_ERROR(ReadDemos(queries.size()));
    std::vector<Item> items;
    for (auto& [row, query] : queries) {
      H1_ASSIGN_OR_RETURN(Item item, MakeItem(query));
      item.row = row;
      items.push_back(std::move(item));
    }
    return items;
  }

 private:
  /// As upstream: with more than twice as many examples as questions, those of any question asked
  /// are left out at once, else each question leaves out its own.
  Status ReadDemos(std::size_t questions) {
    const std::string name = reading_.dataset.files[1];
    H1_ASSIGN_OR_RETURN(const std::string digest,
                        ForEachRow(
                            reading_.folder / name, [](std::int64_t) { return true; },
                            [&](std::int64_t, const Row& row) -> Status {
                              H1_ASSIGN_OR_RETURN(Query query, ReadQuery(row));
                              demos_.push_back(std::move(query));
                              return Status::Ok();
                            }));
    reading_.files.emplace_back(name, digest);
    filtered_ = demos_.size() > 2 * questions;
    if (filtered_)
      std::erase_if(demos_, [&](const Query& demo) { return chosen_.count(demo.qid) != 0; });
    return Status::Ok();
  }

  Result<Item> MakeItem(const Query& query) {
    const bool titles = query.passages[0].has_title;
    Item item;
    item.id = query.qid;
    item.question = query.text;
    std::vector<const Query*> from;
    std::vector<std::string> keys;
    for (const Query& demo : demos_) {
      if (!filtered_ && demo.qid == query.qid) continue;
      from.push_back(&demo);
      keys.push_back(demo.qid);
    }
    const std::vector<std::size_t> drawn = DrawDistinct(keys, TextSeed(query.qid), kShots);
    if (drawn.size() < kShots)
      return Corrupt("{}: expected {} different queries to show, found {}",
                     (reading_.folder / reading_.dataset.files[1]).string(), kShots, drawn.size());
    for (const std::size_t place : drawn) item.demos += DemoText(*from[place], titles);
    std::vector<std::uint32_t> places;
    for (const Passage& passage : query.passages) {
      places.push_back(passages_->Add(Shown(passage, titles)));
      item.relevance[passage.id] = passage.label;
    }
    for (const Passage* passage : Ranked(query)) {
      if (passage->label > 0) item.answers.push_back(passage->id);
    }
    item.context = [passages = passages_, places = std::move(places)] {
      return passages->Join(places);
    };
    return item;
  }

  Reading& reading_;
  std::set<std::string> chosen_;
  std::vector<Query> demos_;
  bool filtered_ = false;
  std::shared_ptr<Passages> passages_ = std::make_shared<Passages>();
};

}  // namespace

Result<std::vector<Item>> ReadRerank(Reading& reading) { return Reranking(reading).Read(); }

}  // namespace h1bench::tasks::helmet
