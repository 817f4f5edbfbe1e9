#pragma once

#include <google/protobuf/message.h>

#include <string_view>

#include "base/status.h"

/// A call's bytes, looked at before protobuf makes objects of them: an empty answer is two bytes
/// there and some three hundred as an object. What passes here costs at most 16 times its bytes
/// (numbers of one byte, four in memory, in a field that grows) and 32 MiB.
namespace h1bench {

inline constexpr int kMessageAnswerLimit = 4096;      // messages in one; a lease has at most 512
inline constexpr int kMessageFieldLimit = 128 << 10;  // of all of them; an answer has 17

/// kInvalidArgument, by the name of the call, when the bytes are none of protobuf's or too many of
/// anything: a Submit has at most 16 MiB, CreateRun 2 MiB, all others 1 MiB. Time linear in the
/// bytes, no memory.
Status CheckWire(std::string_view bytes, const google::protobuf::Descriptor& type);

/// Fills `message` from bytes that pass; those that protobuf refuses (text that is not UTF-8) are
/// kInvalidArgument, too.
Status ReadMessage(std::string_view bytes, google::protobuf::Message& message);

}  // namespace h1bench
