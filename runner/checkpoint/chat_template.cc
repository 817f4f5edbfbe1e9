#include "runner/checkpoint/chat_template.h"

#include <cctype>
#include <vector>

#include "base/text.h"

namespace h1bench {
namespace {

// Symbols of the normal form. Control characters in a template are refused first, so that none can
// be forged.
constexpr std::string_view kBos = "\x01", kRole = "\x02", kContent = "\x03", kFor = "\x04",
                           kEndFor = "\x05", kIfAnswer = "\x06", kEndIf = "\x07", kIfFirst = "\x0e";

struct Piece {
  enum Kind { kText, kExpression, kBlock } kind;
  std::string text;
};

std::string_view Trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return text;
}

Status Different(std::string_view part) {
  return Unsupported(
      "its chat template is not Falcon-H1's ChatML form: \"{}\" is not part of that form",
      VisibleText(part.substr(0, 120)));
}

/// Cuts a template into text, {{ }} and {% %}, with trim_blocks and lstrip_blocks on, as
/// transformers has them.
class Cutter {
 public:
  explicit Cutter(std::string_view source) : rest_(source) {
    if (rest_.ends_with('\n')) rest_.remove_suffix(1);
  }

  Status Cut(std::vector<Piece>& pieces) {
    while (!rest_.empty()) {
      const std::size_t open = FindTag();
      AddText(rest_.substr(0, open), pieces);
      if (open == std::string_view::npos) break;
      rest_.remove_prefix(open);
      H1_RETURN_IF_ERROR(AddTag(pieces));
    }
    return Status::Ok();
  }

 private:
  std::size_t FindTag() const {
    for (std::size_t i = 0; i + 1 < rest_.size(); ++i)
      if (rest_[i] == '{' && (rest_[i + 1] == '{' || rest_[i + 1] == '%' || rest_[i + 1] == '#'))
        return i;
    return std::string_view::npos;
  }

  void AddText(std::string_view text, std::vector<Piece>& pieces) {
    starts_line_ = pieces.empty();
    if (strip_next_) {
      while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
        text.remove_prefix(1);
    } else if (drop_newline_ && text.starts_with('\n')) {
      text.remove_prefix(1);
      starts_line_ = true;
    }
    pieces.push_back({Piece::kText, std::string(text)});
  }

  Status AddTag(std::vector<Piece>& pieces) {
    const char type = rest_[1];
    const std::string close = type == '{' ? "}}" : std::string(1, type) + "}";
    const std::size_t end = rest_.find(close, 2);
    if (end == std::string_view::npos) return Different(rest_);
    std::string_view body = rest_.substr(2, end - 2);
    rest_.remove_prefix(end + 2);
    std::string& before = pieces.back().text;
    if (body.starts_with('-')) {
      before.erase(before.find_last_not_of(" \t\r\n") + 1);
      body.remove_prefix(1);
    } else if (body.starts_with('+')) {
      body.remove_prefix(1);
    } else if (type != '{') {
      const std::size_t line = before.find_last_not_of(" \t") + 1;
      if (line == 0 ? starts_line_ : before[line - 1] == '\n') before.erase(line);
    }
    strip_next_ = body.ends_with('-');
    drop_newline_ = type != '{';
    if (strip_next_) body.remove_suffix(1);
    if (type != '#')
      pieces.push_back({type == '{' ? Piece::kExpression : Piece::kBlock, std::string(Trim(body))});
    return Status::Ok();
  }

  std::string_view rest_;
  bool strip_next_ = false, drop_newline_ = false, starts_line_ = true;
};

/// Puts a template's pieces into the normal form.
class Normalizer {
 public:
  Result<std::string> Run(const std::vector<Piece>& pieces) {
    for (const Piece& piece : pieces) {
      if (piece.kind == Piece::kBlock) {
        H1_RETURN_IF_ERROR(Block(piece.text));
      } else if (skipping_ == 0) {
        if (piece.kind == Piece::kText)
          out_ += piece.text;
        else
          H1_RETURN_IF_ERROR(Expression(piece.text));
      }
    }
    if (!open_.empty()) return Different("the end inside a block");
    return out_;
  }

 private:
  enum Frame { kLoop, kAnswer, kFirst, kTools };

  Status Block(const std::string& text) {
    const std::string words = Squeeze(text);
    if (skipping_ > 0) return SkippedBlock(words);
    if (words.starts_with("for ") && words.ends_with(" in messages") && loop_variable_.empty()) {
      loop_variable_ = words.substr(4, words.size() - 4 - 12);
      return Open(kLoop, kFor);
    }
    if (words == "if add_generation_prompt") return Open(kAnswer, kIfAnswer);
    if (words == "if loop.first") return Open(kFirst, kIfFirst);
    if (words == "if tools" || words == "if tools is defined and tools") {
      skipping_ = 1;
      open_.push_back(kTools);
      return Status::Ok();
    }
    if (words == "endfor" && !open_.empty() && open_.back() == kLoop) {
      loop_variable_.clear();
      return Close(kEndFor);
    }
    if (words == "endif" && !open_.empty() && open_.back() == kTools) return Close("");
    if (words == "endif" && !open_.empty() && open_.back() != kLoop) return Close(kEndIf);
    return Different("{% " + text + " %}");
  }
  /// Inside the tools branch only nesting matters.
  Status SkippedBlock(const std::string& words) {
    if (words.starts_with("if ") || words.starts_with("for ")) ++skipping_;
    if (words == "endif" || words == "endfor") --skipping_;
    if (words == "else" && skipping_ == 1)
      skipping_ = 0;
    else if (skipping_ == 0)
      open_.pop_back();
    else if (words.starts_with("elif ") && skipping_ == 1)
      return Different("{% " + words + " %}");
    return Status::Ok();
  }
  Status Open(Frame frame, std::string_view symbol) {
    open_.push_back(frame);
    out_ += symbol;
    return Status::Ok();
  }
  Status Close(std::string_view symbol) {
    open_.pop_back();
    out_ += symbol;
    return Status::Ok();
  }

  /// Strings, bos_token, the message's role and content, joined with +.
  Status Expression(std::string_view text) {
    std::string_view rest = Trim(text);
    while (true) {
      H1_RETURN_IF_ERROR(Atom(rest));
      rest = Trim(rest);
      if (rest.empty()) return Status::Ok();
      if (rest[0] != '+' && rest[0] != '~') return Different(text);
      rest = Trim(rest.substr(1));
    }
  }
  Status Atom(std::string_view& rest) {
    if (!rest.empty() && (rest[0] == '\'' || rest[0] == '"')) return StringLiteral(rest);
    const std::string_view atom = Trim(rest.substr(0, rest.find_first_of("+~")));
    const std::string role = loop_variable_ + ".role", content = loop_variable_ + ".content";
    const auto indexed = [&](std::string_view key, char quote) {
      return fmt::format("{}[{}{}{}]", loop_variable_, quote, key, quote);
    };
    const auto is = [&](std::string_view dotted, std::string_view key) {
      return !loop_variable_.empty() &&
             (atom == dotted || atom == indexed(key, '\'') || atom == indexed(key, '"'));
    };
    if (atom == "bos_token")
      out_ += kBos;
    else if (is(role, "role"))
      out_ += kRole;
    else if (is(content, "content"))
      out_ += kContent;
    else
      return Different(rest);
    rest.remove_prefix(static_cast<std::size_t>(atom.data() + atom.size() - rest.data()));
    return Status::Ok();
  }
  Status StringLiteral(std::string_view& rest) {
    const char quote = rest[0];
    for (std::size_t i = 1; i < rest.size(); ++i) {
      if (rest[i] == quote) {
        rest.remove_prefix(i + 1);
        return Status::Ok();
      }
      if (rest[i] == '\\') {
        if (++i == rest.size() || (rest[i] != 'n' && rest[i] != '\\' && rest[i] != quote)) break;
        out_ += rest[i] == 'n' ? '\n' : rest[i];
      } else {
        out_ += rest[i];
      }
    }
    return Different(rest);
  }
  /// Runs of white space become one space.
  static std::string Squeeze(const std::string& text) {
    std::string out;
    for (const char c : text) {
      if (!std::isspace(static_cast<unsigned char>(c)))
        out += c;
      else if (!out.empty() && out.back() != ' ')
        out += ' ';
    }
    return out;
  }

  std::string out_, loop_variable_;
  std::vector<Frame> open_;
  int skipping_ = 0;
};

std::string Message() {
  return fmt::format("<|im_start|>{}\n{}<|im_end|>\n{}", kRole, kContent, kEndFor);
}

}  // namespace

Status CheckChatTemplate(std::string_view jinja, std::string_view bos_token) {
  for (const char c : jinja)
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' && c != '\r')
      return Different("a control character");
  std::vector<Piece> pieces;
  H1_RETURN_IF_ERROR(Cutter(jinja).Cut(pieces));
  H1_ASSIGN_OR_RETURN(const std::string form, Normalizer().Run(pieces));
  const std::string answer = fmt::format("{}<|im_start|>assistant\n{}", kIfAnswer, kEndIf);
  const std::string once = fmt::format("{}{}{}{}", kBos, kFor, Message(), answer);
  // Begin-of-text inside the loop, before the first message: the same text when there is a message.
  const std::string first =
      fmt::format("{}{}{}{}{}{}", kFor, kIfFirst, kBos, kEndIf, Message(), answer);
  const std::string literal = fmt::format("<|begin_of_text|>{}{}{}", kFor, Message(), answer);
  if (form != once && form != first && form != literal) {
    std::string shown;
    for (const char c : form) shown += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? '*' : c;
    return Different(shown);
  }
  if (form != literal && bos_token != "<|begin_of_text|>")
    return Unsupported(
        "its bos_token is \"{}\"; Falcon-H1's chat form begins with <|begin_of_text|>",
        VisibleText(bos_token));
  return Status::Ok();
}

}  // namespace h1bench
