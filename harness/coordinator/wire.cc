#include "harness/coordinator/wire.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <limits>
#include <string>

namespace h1bench {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;

/// "Submit" of SubmitRequest.
std::string CallName(const Descriptor& type) {
  constexpr std::string_view kEnd = "Request";
  std::string name = type.name();
  if (name.ends_with(kEnd)) name.resize(name.size() - kEnd.size());
  return name;
}

std::size_t MostBytes(const std::string& call) {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  return call == "Submit" ? 16 * kMiB : call == "CreateRun" ? 2 * kMiB : kMiB;
}

Status Refuse(const Descriptor& type) {
  return InvalidArgument("expected a {}, found other bytes", type.name());
}

/// Goes over tags and lengths. Messages nest as deep as their types do, which is twice.
class Walk {
 public:
  explicit Walk(std::string_view bytes)
      : in_(reinterpret_cast<const std::uint8_t*>(bytes.data()), static_cast<int>(bytes.size())) {}

  Status Message(const Descriptor& type) {
    while (const std::uint32_t tag = in_.ReadTagNoLastTag()) {
      if (++fields_ > kMessageFieldLimit)
        return InvalidArgument("expected at most {} fields, found more", kMessageFieldLimit);
      H1_RETURN_IF_ERROR(Field(type, tag));
    }
    return in_.ConsumedEntireMessage() ? Status::Ok() : Refuse(type);  // else no tag stood there
  }

 private:
  Status Field(const Descriptor& type, std::uint32_t tag) {
    std::uint64_t number = 0;
    std::uint32_t length = 0;
    switch (WireFormatLite::GetTagWireType(tag)) {
      case WireFormatLite::WIRETYPE_VARINT:
        return in_.ReadVarint64(&number) ? Status::Ok() : Refuse(type);
      case WireFormatLite::WIRETYPE_FIXED64:
        return in_.Skip(8) ? Status::Ok() : Refuse(type);
      case WireFormatLite::WIRETYPE_FIXED32:
        return in_.Skip(4) ? Status::Ok() : Refuse(type);
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
        if (!in_.ReadVarint32(&length) || length > std::numeric_limits<std::int32_t>::max())
          return Refuse(type);
        return Part(type, tag, static_cast<int>(length));
      default:  // proto3 has no groups
        return Refuse(type);
    }
  }

  Status Part(const Descriptor& type, std::uint32_t tag, int length) {
    const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    if (field == nullptr || field->type() != FieldDescriptor::TYPE_MESSAGE)
      return in_.Skip(length) ? Status::Ok() : Refuse(type);
    if (++parts_ > kMessageAnswerLimit)
      return InvalidArgument("{}: expected at most {}, found more", field->name(),
                             kMessageAnswerLimit);
    if (length > in_.BytesUntilLimit()) return Refuse(type);
    const auto outer = in_.PushLimit(length);
    H1_RETURN_IF_ERROR(Message(*field->message_type()));
    in_.PopLimit(outer);
    return Status::Ok();
  }

  google::protobuf::io::CodedInputStream in_;
  int fields_ = 0, parts_ = 0;
};

}  // namespace

Status CheckWire(std::string_view bytes, const Descriptor& type) {
  const std::string call = CallName(type);
  if (bytes.size() > MostBytes(call))
    return InvalidArgument("{}: expected at most {} bytes, found {}", call, MostBytes(call),
                           bytes.size());
  return Walk(bytes).Message(type).WithContext(call);
}

Status ReadMessage(std::string_view bytes, google::protobuf::Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  H1_RETURN_IF_ERROR(CheckWire(bytes, type));
  if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Status::Ok();
  return Refuse(type).WithContext(CallName(type));
}

}  // namespace h1bench
