#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace h1bench {

/// The one chat form that this program renders itself (Falcon-H1's, ChatML): `<|begin_of_text|>`
/// once, per message
/// `<|im_start|>{role}\n{content}<|im_end|>\n`, and `<|im_start|>assistant\n` where an answer is
/// asked for.
///
/// A checkpoint's template is code from a stranger: it is read and compared, never executed. The
/// comparison rewrites it to a normal form (literal text, "the role", "the content", "for every
/// message", "if an answer is asked for"; Jinja's white-space rules as transformers sets them;
/// branches for tools left out, since no request has tools), so that the same form is recognised
/// however it is spelled. Fails (kUnsupported) with the first part that is different or not
/// understood.
Status CheckChatTemplate(std::string_view jinja, std::string_view bos_token);

}  // namespace h1bench
