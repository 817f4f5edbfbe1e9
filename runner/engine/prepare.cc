#include "runner/engine/prepare.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace h1bench::engine {
namespace {

/// Code points outside ASCII for which Python's str.isspace() holds, as UTF-8.
constexpr std::array<std::string_view, 19> kWideSpaces = {
    "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
    "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
    "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};

std::size_t LastSpaceBytes(std::string_view text) {
  if (text.empty()) return 0;
  const auto last = static_cast<unsigned char>(text.back());
  if (last == ' ' || (last >= 0x09 && last <= 0x0d) || (last >= 0x1c && last <= 0x1f)) return 1;
  for (const std::string_view space : kWideSpaces)
    if (text.ends_with(space)) return space.size();
  return 0;
}

/// Text to ids; remembers when the tokenizer had to give up.
class Encoder {
 public:
  Encoder(const Rules& rules, bool add_bos) : rules_(rules), add_bos_(add_bos) {}

  Ids Encode(std::string_view text, bool bos) {
    const std::uint64_t before = rules_.tokenizer->limit_hits();
    Ids ids = rules_.tokenizer->Encode(text);
    hit_limit_ = hit_limit_ || rules_.tokenizer->limit_hits() != before;
    if (bos && add_bos_ && rules_.bos_id && (ids.empty() || ids.front() != *rules_.bos_id))
      ids.insert(ids.begin(), *rules_.bos_id);
    return ids;
  }

  Status status() const {
    if (!hit_limit_) return Status::Ok();
    return Unsupported(
        "the tokenizer's regex ran into its limit on this text; its ids would be wrong");
  }

 private:
  const Rules& rules_;
  bool add_bos_, hit_limit_ = false;
};

struct Pair {
  Ids context, continuation;
};

/// The context's own ids, encoded once for all its continuations; empty when nothing but white
/// space.
Ids EncodeHead(Encoder& encoder, std::string_view context) {
  const std::string_view head = context.substr(0, context.size() - TrailingWhitespace(context));
  return head.empty() ? Ids{} : encoder.Encode(head, true);
}

Result<Pair> EncodePair(Encoder& encoder, const Rules& rules, const Ids& head,
                        const EngineRequest& request, const std::string& continuation) {
  const std::string whole = request.context + continuation;
  if (!head.empty()) {
    Pair pair{head, encoder.Encode(whole, true)};
    const std::size_t cut = std::min(head.size(), pair.continuation.size());
    pair.continuation.erase(pair.continuation.begin(),
                            pair.continuation.begin() + static_cast<std::ptrdiff_t>(cut));
    return pair;
  }
  if (!rules.prefix_id)
    return InvalidArgument("the context is empty and the model has no BOS or EOS to stand for it");
  Pair pair{{*rules.prefix_id}, encoder.Encode(whole, false)};
  if (!pair.continuation.empty() && pair.continuation.front() == *rules.prefix_id)
    pair.continuation.erase(pair.continuation.begin());
  return pair;
}

Status CheckIds(const Ids& ids, std::int64_t vocab) {
  for (const std::int32_t id : ids)
    if (id < 0 || id >= vocab)
      return InvalidArgument("token id {} is outside the model's vocabulary of {}", id, vocab);
  return Status::Ok();
}

/// (context + continuation)[-(max_length + 1):][:-1]
Status AddScoring(Pair pair, const Rules& rules, Prepared& out) {
  if (pair.context.empty()) return InvalidArgument("the context has no token");
  if (pair.continuation.empty())
    return InvalidArgument("a continuation has no token of its own after the context");
  const auto continuation = static_cast<std::int64_t>(pair.continuation.size());
  if (continuation > rules.max_length)
    return InvalidArgument("a continuation of {} tokens is longer than max_length {}", continuation,
                           rules.max_length);
  const auto context = static_cast<std::int64_t>(pair.context.size());
  const std::int64_t cut =
      std::max<std::int64_t>(0, context + continuation - (rules.max_length + 1));
  Sequence sequence;
  sequence.input.assign(pair.context.begin() + cut, pair.context.end());
  sequence.input.insert(sequence.input.end(), pair.continuation.begin(),
                        pair.continuation.end() - 1);
  sequence.targets = std::move(pair.continuation);
  if (out.sequences.empty()) {
    out.prompt_tokens = context - cut;
    out.truncated_tokens = cut;
  }
  out.sequences.push_back(std::move(sequence));
  return Status::Ok();
}

Status PrepareScoring(const EngineRequest& request, const Rules& rules, Prepared& out) {
  if (!request.continuation_ids.empty()) {
    H1_RETURN_IF_ERROR(CheckIds(request.context_ids, rules.vocab));
    for (const Ids& continuation : request.continuation_ids) {
      H1_RETURN_IF_ERROR(CheckIds(continuation, rules.vocab));
      H1_RETURN_IF_ERROR(AddScoring({request.context_ids, continuation}, rules, out));
    }
    return Status::Ok();
  }
  Encoder encoder(rules, request.add_bos);
  const Ids head = EncodeHead(encoder, request.context);
  for (const std::string& continuation : request.continuations) {
    H1_ASSIGN_OR_RETURN(Pair pair, EncodePair(encoder, rules, head, request, continuation));
    H1_RETURN_IF_ERROR(encoder.status());
    H1_RETURN_IF_ERROR(CheckIds(pair.context, rules.vocab));
    H1_RETURN_IF_ERROR(CheckIds(pair.continuation, rules.vocab));
    H1_RETURN_IF_ERROR(AddScoring(std::move(pair), rules, out));
  }
  return Status::Ok();
}

Status CheckGeneration(const EngineRequest& request, std::int64_t max_length) {
  if (request.max_new_tokens < 1 || request.max_new_tokens >= max_length)
    return InvalidArgument("max_new_tokens is {}, expected 1 to {} (max_length is {})",
                           request.max_new_tokens, max_length - 1, max_length);
  if (!(request.temperature >= 0))
    return InvalidArgument("temperature is {}, expected 0 or more", request.temperature);
  if (!(request.top_p > 0 && request.top_p <= 1))
    return InvalidArgument("top_p is {}, expected more than 0 and at most 1", request.top_p);
  if (request.temperature > 0 && request.sampling_key.empty())
    return InvalidArgument("sampling at temperature {} needs a sampling_key", request.temperature);
  return Status::Ok();
}

Status PrepareGeneration(const EngineRequest& request, const Rules& rules, Prepared& out) {
  H1_RETURN_IF_ERROR(CheckGeneration(request, rules.max_length));
  Ids ids = request.context_ids;
  if (ids.empty()) {
    Encoder encoder(rules, request.add_bos);
    ids = encoder.Encode(request.context, true);
    H1_RETURN_IF_ERROR(encoder.status());
  }
  if (ids.empty()) {
    if (!rules.prefix_id)
      return InvalidArgument("the prompt is empty and the model has no BOS or EOS to stand for it");
    ids = {*rules.prefix_id};
  }
  H1_RETURN_IF_ERROR(CheckIds(ids, rules.vocab));
  const std::int64_t room = rules.max_length - request.max_new_tokens;
  const std::int64_t cut = std::max<std::int64_t>(0, static_cast<std::int64_t>(ids.size()) - room);
  ids.erase(ids.begin(), ids.begin() + cut);
  out.prompt_tokens = static_cast<std::int64_t>(ids.size());
  out.truncated_tokens = cut;
  out.sequences.push_back({std::move(ids), {}, request.max_new_tokens});
  return Status::Ok();
}

}  // namespace

std::size_t TrailingWhitespace(std::string_view text) {
  std::size_t bytes = 0;
  while (const std::size_t last = LastSpaceBytes(text.substr(0, text.size() - bytes)))
    bytes += last;
  return bytes;
}

Prepared Prepare(const EngineRequest& request, const Rules& rules) {
  Prepared out;
  out.bf16_softmax = request.bf16_softmax;
  const bool scoring = !request.continuations.empty() || !request.continuation_ids.empty();
  const bool ids = scoring ? !request.continuation_ids.empty() : !request.context_ids.empty();
  if (!ids && request.add_bos && !rules.bos_id)
    out.status = InvalidArgument("BOS is asked for and the model's config.json names none");
  else if (!ids && rules.tokenizer == nullptr)
    out.status = InvalidArgument("this engine has no tokenizer: requests must carry token ids");
  else
    out.status =
        scoring ? PrepareScoring(request, rules, out) : PrepareGeneration(request, rules, out);
  return out;
}

}  // namespace h1bench::engine
