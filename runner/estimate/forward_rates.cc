#include "runner/estimate/forward_rates.h"

#include <algorithm>
#include <cmath>

namespace h1bench {
namespace {

Json PointsJson(const MeasuredPoints& points) {
  Json list{Json::Array{}};
  for (const auto& [size, seconds] : points) list.Push(Json::Array{Json(size), Json(seconds)});
  return list;
}

Result<MeasuredPoints> ReadPoints(const Json& json, const char* key) {
  const Json* list = json.Find(key);
  if (list == nullptr || !list->is_array() || list->as_array().empty())
    return Corrupt("rates.{}: expected a list of points", key);
  MeasuredPoints points;
  for (const Json& item : list->as_array()) {
    if (!item.is_array() || item.as_array().size() != 2 || !item.as_array()[0].is_integer() ||
        !item.as_array()[1].is_number())
      return Corrupt("rates.{}: expected [tokens, seconds]", key);
    points.emplace_back(item.as_array()[0].as_int(), item.as_array()[1].as_double());
    const auto& [size, seconds] = points.back();
    const bool grows = points.size() < 2 || size > points[points.size() - 2].first;
    if (size < 1 || !grows || !(seconds >= 0 && std::isfinite(seconds)))
      return Corrupt("rates.{}: expected growing sizes and seconds from 0 on", key);
  }
  return points;
}

}  // namespace

double Interpolate(const MeasuredPoints& points, double size) {
  if (points.empty() || size <= 0) return 0;
  const auto first = static_cast<double>(points.front().first);
  if (size <= first || points.size() == 1) {
    // Below the first point a Forward is limited by the weights it reads: the same time.
    return size <= first ? points.front().second : points.front().second * size / first;
  }
  auto upper = std::find_if(points.begin() + 1, points.end(), [&](const auto& point) {
    return static_cast<double>(point.first) >= size;
  });
  const bool beyond = upper == points.end();
  if (beyond) --upper;
  const auto& [x0, y0] = *(upper - 1);
  const auto& [x1, y1] = *upper;
  const double slope = (y1 - y0) / static_cast<double>(x1 - x0);
  if (!beyond) return y0 + slope * (size - static_cast<double>(x0));
  const auto last = static_cast<double>(x1);
  return y1 + std::max(slope, y1 / last) * (size - last);
}

ForwardSeconds Seconds(const ForwardRates& rates, const ForwardWork& work) {
  return Seconds(rates, work, work);
}

ForwardSeconds Seconds(const ForwardRates& rates, const ForwardWork& work,
                       const ForwardWork& part) {
  const auto prompt = static_cast<double>(work.prompt_tokens);
  const auto generated = static_cast<double>(work.generated);
  const double rows = prompt + generated;
  ForwardSeconds out;
  if (rows <= 0) return out;
  // A generated token costs what a prompt token costs in this call, and what it reads alone.
  const double row = Interpolate(rates.prompt, rows) / rows;
  if (part.generated > 0) {
    const double steps = Interpolate(rates.generated, generated);
    const double alone = std::max(0.0, steps - Interpolate(rates.prompt, generated));
    const double share = static_cast<double>(part.generated) / generated;
    out.generated = share * (prompt > 0 ? row * generated + alone : steps) +
                    rates.generated_key * part.generated_keys;
  }
  if (part.prompt_tokens <= 0) return out;
  // The first segment and the first row asked are in the points; all segments share that.
  const auto beyond_first = [](std::int64_t whole, std::int64_t some) {
    const auto all = static_cast<double>(whole);
    return some > 0 ? static_cast<double>(some) * (all - 1) / all : 0;
  };
  out.prompt = row * static_cast<double>(part.prompt_tokens) + rates.prompt_key * part.prompt_keys +
               rates.prompt_segment * beyond_first(work.prompt_segments, part.prompt_segments) +
               rates.asked_row * beyond_first(work.asked_rows, part.asked_rows);
  return out;
}

Json ToJson(const ForwardRates& rates) {
  Json json;
  json.Set("prompt", PointsJson(rates.prompt)).Set("generated", PointsJson(rates.generated));
  json.Set("prompt_segment", rates.prompt_segment).Set("asked_row", rates.asked_row);
  json.Set("prompt_key", rates.prompt_key).Set("generated_key", rates.generated_key);
  json.Set("pack_bytes_per_second", rates.pack_bytes_per_second);
  return json;
}

Result<ForwardRates> ForwardRatesFromJson(const Json& json) {
  ForwardRates rates;
  H1_ASSIGN_OR_RETURN(rates.prompt, ReadPoints(json, "prompt"));
  H1_ASSIGN_OR_RETURN(rates.generated, ReadPoints(json, "generated"));
  const std::pair<const char*, double*> numbers[] = {
      {"prompt_segment", &rates.prompt_segment},
      {"asked_row", &rates.asked_row},
      {"prompt_key", &rates.prompt_key},
      {"generated_key", &rates.generated_key},
      {"pack_bytes_per_second", &rates.pack_bytes_per_second}};
  for (const auto& [key, to] : numbers) {
    const Json* value = json.Find(key);
    if (value == nullptr || !value->is_number() || !(value->as_double() >= 0))
      return Corrupt("rates.{}: expected a number from 0 on", key);
    *to = value->as_double();
  }
  return rates;
}

}  // namespace h1bench
