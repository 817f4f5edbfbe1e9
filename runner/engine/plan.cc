#include "runner/engine/plan.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace h1bench::engine {
namespace {

/// Where a sequence comes from.
struct Source {
  std::int32_t request = 0, sequence = 0;
  const Sequence* data = nullptr;
  const Ids& ids() const { return data->input; }
  bool generates() const { return data->new_tokens > 0; }
};

std::int64_t Length(const Ids& ids) { return static_cast<std::int64_t>(ids.size()); }

std::int64_t CommonPrefix(const Ids& a, const Ids& b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

class Builder {
 public:
  Builder(std::span<const Prepared> requests, const PlanOptions& options)
      : requests_(requests), options_(options) {
    plan_.nodes.emplace_back();
    terminals_.emplace_back();
  }

  Plan Build() {
    Collect();
    options_.share ? InsertShared() : InsertApart();
    for (std::int32_t child : Copy(plan_.nodes[0].children)) Prune(child);
    for (std::int32_t child : Copy(plan_.nodes[0].children)) Fit(child, options_.slot_bytes_limit);
    PlaceSources(0);
    Finish(0);
    Order(0);
    CountReuse();
    return std::move(plan_);
  }

 private:
  static std::vector<std::int32_t> Copy(const std::vector<std::int32_t>& list) { return list; }
  Node& At(std::int32_t node) { return plan_.nodes[static_cast<std::size_t>(node)]; }
  std::vector<Source>& Terminals(std::int32_t node) {
    return terminals_[static_cast<std::size_t>(node)];
  }

  void Collect() {
    for (std::size_t r = 0; r < requests_.size(); ++r)
      for (std::size_t s = 0; requests_[r].status.ok() && s < requests_[r].sequences.size(); ++s)
        sources_.push_back({static_cast<std::int32_t>(r), static_cast<std::int32_t>(s),
                            &requests_[r].sequences[s]});
  }

  std::int32_t Add(std::int32_t parent, const Ids& ids, std::int64_t end) {
    Node node;
    node.parent = parent;
    node.begin = At(parent).end;
    node.end = end;
    node.ids = &ids;
    plan_.nodes.push_back(std::move(node));
    terminals_.emplace_back();
    const auto index = static_cast<std::int32_t>(plan_.nodes.size() - 1);
    At(parent).children.push_back(index);
    return index;
  }

  /// Radix tree of the sorted sequences: `path` is the chain of nodes of the sequence before.
  void InsertShared() {
    std::stable_sort(sources_.begin(), sources_.end(),
                     [](const Source& a, const Source& b) { return a.ids() < b.ids(); });
    std::vector<std::int32_t> path = {0};
    const Ids* before = nullptr;
    for (const Source& source : sources_) {
      const std::int64_t common = before == nullptr ? 0 : CommonPrefix(*before, source.ids());
      while (path.size() > 1 && At(path.back()).begin >= common) path.pop_back();
      if (At(path.back()).end > common) path.back() = Split(path.back(), common);
      if (At(path.back()).end < Length(source.ids()))
        path.push_back(Add(path.back(), source.ids(), Length(source.ids())));
      Terminals(path.back()).push_back(source);
      before = &source.ids();
    }
  }

  /// Puts a node that ends at `at` between `node` and its parent; returns it.
  std::int32_t Split(std::int32_t node, std::int64_t at) {
    Node upper;
    upper.parent = At(node).parent;
    upper.begin = At(node).begin;
    upper.end = at;
    upper.ids = At(node).ids;
    upper.children = {node};
    plan_.nodes.push_back(std::move(upper));
    terminals_.emplace_back();
    const auto index = static_cast<std::int32_t>(plan_.nodes.size() - 1);
    std::ranges::replace(At(At(node).parent).children, node, index);
    At(node).parent = index;
    At(node).begin = at;
    return index;
  }

  /// Nothing shared, except that equal scoring inputs of one request are one forward.
  void InsertApart() {
    std::map<std::pair<std::int32_t, Ids>, std::int32_t> seen;
    for (const Source& source : sources_) {
      std::int32_t& node = seen[{source.request, source.ids()}];
      if (node == 0) node = Add(0, source.ids(), Length(source.ids()));
      Terminals(node).push_back(source);
    }
  }

  /// How many continue from the node's end.
  std::int64_t Users(std::int32_t node) {
    return static_cast<std::int64_t>(At(node).children.size()) +
           std::ranges::count_if(Terminals(node), &Source::generates);
  }
  /// Whether the state at the node's end has to be kept for others.
  bool IsJunction(std::int32_t node) { return !At(node).children.empty() || Users(node) > 1; }

  /// Bottom up: removes every junction whose tokens are cheaper to compute again.
  void Prune(std::int32_t node) {
    for (std::int32_t child : Copy(At(node).children)) Prune(child);
    if (IsJunction(node) && At(node).tokens() * (Users(node) - 1) < options_.min_saved_tokens)
      Dissolve(node);
  }

  /// Top down: removes junctions that leave no room for what hangs below them.
  void Fit(std::int32_t node, std::int64_t bytes) {
    if (!IsJunction(node)) return;
    const std::int64_t own = options_.slot_bytes(At(node).end);
    const std::vector<std::int32_t> children = At(node).children;
    const bool keep = own + LargestLeaf(node) <= bytes;
    if (!keep) Dissolve(node);
    for (std::int32_t child : children) Fit(child, keep ? bytes - own : bytes);
  }

  std::int64_t LargestLeaf(std::int32_t node) {
    std::int64_t bytes = 0;
    for (const Source& source : Terminals(node))
      bytes = std::max(bytes, options_.slot_bytes(Length(source.ids()) + source.data->new_tokens));
    for (std::int32_t child : At(node).children) bytes = std::max(bytes, LargestLeaf(child));
    return bytes;
  }

  /// Gives the node's tokens to each of its users, which then hang on its parent.
  void Dissolve(std::int32_t node) {
    const std::int32_t parent = At(node).parent;
    std::erase(At(parent).children, node);
    for (std::int32_t child : At(node).children) {
      At(child).parent = parent;
      At(child).begin = At(node).begin;
      At(parent).children.push_back(child);
    }
    std::vector<std::int32_t> heirs = std::exchange(At(node).children, {});
    const std::vector<Source> sources = std::exchange(Terminals(node), {});
    for (const Source& source : sources) {
      if (!source.generates()) continue;
      heirs.push_back(Add(parent, source.ids(), Length(source.ids())));
      Terminals(heirs.back()).push_back(source);
    }
    for (const Source& source : sources)  // any heir's path holds the rows of a scored sequence
      if (!source.generates()) Terminals(heirs.front()).push_back(source);
  }

  /// Turns the ends of sequences into rows and generations. A generation needs a leaf of its own;
  /// several from one node, or one with children, become empty leaves that fork from its end.
  void PlaceSources(std::int32_t node) {
    for (std::int32_t child : Copy(At(node).children)) PlaceSources(child);
    const std::vector<Source> sources = std::move(Terminals(node));
    const auto generators = std::ranges::count_if(sources, &Source::generates);
    const bool alone = generators == 1 && At(node).children.empty();
    for (const Source& source : sources) {
      if (!source.generates()) {
        PlaceRows(node, source);
        continue;
      }
      const std::int32_t leaf = alone ? node : Add(node, source.ids(), Length(source.ids()));
      At(leaf).generates = source.request;
      At(leaf).max_tokens = Length(source.ids()) + source.data->new_tokens;
    }
  }

  void PlaceRows(std::int32_t node, const Source& source) {
    const auto count = static_cast<std::int64_t>(source.data->targets.size());
    for (std::int64_t i = count - 1; i >= 0; --i) {
      const std::int64_t position = Length(source.ids()) - count + i;
      while (At(node).begin > position) node = At(node).parent;
      std::vector<Row>& rows = At(node).rows;
      auto row = std::ranges::lower_bound(rows, position, {}, &Row::position);
      if (row == rows.end() || row->position != position)
        row = rows.insert(row, {position, {}, {}, false});
      const bool bf16 = requests_[static_cast<std::size_t>(source.request)].bf16_softmax;
      row->bf16 = row->bf16 || bf16;
      row->wanted.push_back({source.request, source.sequence, static_cast<std::int32_t>(i), bf16});
      row->targets.push_back(source.data->targets[static_cast<std::size_t>(i)]);
    }
  }

  void Finish(std::int32_t index) {
    std::int64_t cost = At(index).tokens();
    for (std::int32_t child : At(index).children) {
      Finish(child);
      cost += At(child).cost;
    }
    Node& node = At(index);
    if (node.generates >= 0) cost += node.max_tokens - node.end;
    node.cost = cost;
    node.max_tokens = std::max(node.max_tokens, node.end);
    std::ranges::stable_sort(
        node.children, [this](std::int32_t a, std::int32_t b) { return At(a).cost > At(b).cost; });
    for (const Row& row : node.rows)
      for (const Wanted& wanted : row.wanted) node.requests.push_back(wanted.request);
    if (node.generates >= 0) node.requests.push_back(node.generates);
    std::ranges::sort(node.requests);
    node.requests.erase(std::unique(node.requests.begin(), node.requests.end()),
                        node.requests.end());
  }

  /// Depth first; the first request met below a node owns it.
  std::int32_t Order(std::int32_t index) {
    if (index != 0) plan_.order.push_back(index);
    std::int32_t owner = At(index).requests.empty() ? -1 : At(index).requests.front();
    for (std::int32_t child : At(index).children) {
      const std::int32_t below = Order(child);
      if (owner < 0) owner = below;
    }
    At(index).owner = owner;
    plan_.fed_tokens += At(index).tokens();
    return owner;
  }

  /// A request's prompt is a path from the root: it reuses the nodes it does not own.
  void CountReuse() {
    plan_.reused.assign(requests_.size(), 0);
    std::vector<bool> counted(requests_.size(), false);
    for (std::size_t r = 0; r < requests_.size(); ++r)
      for (const Sequence& sequence : requests_[r].sequences)
        if (requests_[r].status.ok()) plan_.sequence_tokens += Length(sequence.input);
    for (std::int32_t index : plan_.order) {
      for (const Row& row : At(index).rows)
        for (const Wanted& wanted : row.wanted)
          if (wanted.sequence == 0 && wanted.index == 0)
            CountPath(wanted.request, index, row.position + 1);
      if (At(index).generates >= 0) CountPath(At(index).generates, index, At(index).end);
    }
  }

  /// `end`: the prompt's length; the path is that of `node`.
  void CountPath(std::int32_t request, std::int32_t node, std::int64_t end) {
    for (; node > 0; node = At(node).parent)
      if (At(node).owner != request)
        plan_.reused[static_cast<std::size_t>(request)] +=
            std::min(end, At(node).end) - At(node).begin;
  }

  std::span<const Prepared> requests_;
  const PlanOptions& options_;
  Plan plan_;
  std::vector<Source> sources_;
  std::vector<std::vector<Source>> terminals_;  // by node: sequences that end there
};

}  // namespace

Plan BuildPlan(std::span<const Prepared> requests, const PlanOptions& options) {
  return Builder(requests, options).Build();
}

}  // namespace h1bench::engine
