#include <gtest/gtest.h>

#include "runner/checkpoint/chat_template.h"
#include "runner/checkpoint/checkpoint.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

constexpr const char* kBos = "<|begin_of_text|>";

TEST(ChatTemplate, TheGoldenModelsTemplateIsRecognised) {
  H1_NEED_SHARED();
  const auto chat = Checkpoint::Open(testing::SharedDir() / "goldens/lm_eval/model");
  EXPECT_TRUE(chat->CheckChat().ok()) << chat->CheckChat().message();
  const auto base = Checkpoint::Open(testing::SharedDir() / "goldens/models/plain");
  EXPECT_NE(base->CheckChat().message().find("no chat template"), std::string::npos);
}

TEST(ChatTemplate, SpellingsOfTheSameForm) {
  for (const char* text : {
           // text and tags mixed
           "{{bos_token}}{% for m in messages "
           "%}<|im_start|>{{m['role']}}\n{{m['content']}}<|im_end|>\n{% endfor %}"
           "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
           // concatenation, attributes, white-space control over lines
           "{{- bos_token }}\n{%- for message in messages %}\n    {{- '<|im_start|>' + "
           "message.role + '\\n' + "
           "message.content + '<|im_end|>' + '\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt "
           "%}\n    "
           "{{- \"<|im_start|>assistant\\n\" }}\n{%- endif %}\n",
           // block lines vanish by themselves
           "{{ bos_token }}{% for m in messages %}\n  {# a comment #}\n<|im_start|>{{ m[\"role\"] "
           "}}\n{{ m[\"content\"] }}"
           "<|im_end|>\n{% endfor %}\n{% if add_generation_prompt %}\n<|im_start|>assistant\n{% "
           "endif %}\n",
           // begin-of-text before the first message
           "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}{{'<|im_start|>' + "
           "m['role'] + '\\n' + "
           "m['content'] + '<|im_end|>\\n'}}{% endfor %}{% if add_generation_prompt %}{{ "
           "'<|im_start|>assistant\\n' }}{% endif %}",
           // a branch for tools
           "{{bos_token}}{%- if tools %}{% for t in tools %}{% if t %}{{ t | tojson }}{% endif "
           "%}{% endfor %}{%- else %}{%- endif %}"
           "{% for m in messages %}{{'<|im_start|>' + m.role + '\\n' + m.content + "
           "'<|im_end|>\\n'}}{% endfor %}"
           "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
       })
    EXPECT_TRUE(CheckChatTemplate(text, kBos).ok()) << text << "\n"
                                                    << CheckChatTemplate(text, kBos).message();
}

TEST(ChatTemplate, OtherFormsAreRefusedWithTheirDifference) {
  const std::string good =
      "{{bos_token}}{% for m in messages "
      "%}<|im_start|>{{m['role']}}\n{{m['content']}}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return CheckChatTemplate(text, kBos);
  };
  EXPECT_TRUE(changed("m in", "m in").ok());
  EXPECT_FALSE(changed("{{bos_token}}", "").ok());
  EXPECT_FALSE(changed("<|im_end|>\n", "<|im_end|>\n\n").ok());  // the Tiny models' extra newline
  EXPECT_FALSE(changed("<|im_end|>\n", "<|im_end|>").ok());
  EXPECT_FALSE(changed("assistant\n", "assistant").ok());
  EXPECT_FALSE(changed("<|im_start|>", "<|user|>").ok());
  EXPECT_NE(changed("m['content']", "m['content'] | trim").message().find("trim"),
            std::string::npos);
  EXPECT_NE(changed("{{bos_token}}", "{{bos_token}}{{ ''.__class__ }}")
                .message()
                .find("not part of that form"),
            std::string::npos);
  EXPECT_FALSE(changed("{% endfor %}", "{% endif %}").ok());
  EXPECT_FALSE(changed("{{bos_token}}", "{{bos_token}}\x01").ok());
  EXPECT_FALSE(CheckChatTemplate(good.substr(0, 60), kBos).ok());
  EXPECT_NE(CheckChatTemplate(good, "<s>").message().find("bos_token"), std::string::npos);
  EXPECT_FALSE(CheckChatTemplate("", kBos).ok());
  EXPECT_FALSE(CheckChatTemplate("{% if tools %}", kBos).ok());
}

}  // namespace
}  // namespace h1bench
