#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>

#include "base/json.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/safetensors.h"
#include "runner/checkpoint/safetensors_writer.h"
#include "runner/checkpoint/shards.h"
#include "runner/checkpoint/synthesize.h"
#include "tests/runner/checkpoint_fixture.h"

namespace h1bench {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;
using testing::TinyShape;
using testing::WriteText;

/// A file of this header and so many bytes of data. The header is padded so that the data is
/// aligned.
std::string File(std::string header, std::size_t data_bytes) {
  header.append((8 - header.size() % 8) % 8, ' ');
  std::string file(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file + header + std::string(data_bytes, '\1');
}

/// The error of parsing these bytes, or "".
std::string Refusal(const std::string& file) {
  const auto parsed = ParseSafetensors(std::as_bytes(std::span(file)), "f");
  return parsed.ok() ? "" : parsed.status().message();
}

void ExpectRefusal(const std::string& file, const std::string& part) {
  EXPECT_NE(Refusal(file).find(part), std::string::npos)
      << "expected: " << part << "\nfound: " << Refusal(file);
  EXPECT_EQ(Refusal(file).substr(0, 3), "f: ");
}

std::string Tensor(const std::string& name, const std::string& shape, int begin, int end,
                   const std::string& dtype = "F32") {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype,
                     shape, begin, end);
}

TEST(HostileSafetensors, GoodOnesFirst) {
  EXPECT_EQ(
      Refusal(File("{" + Tensor("a", "[2,1]", 0, 8) + "," + Tensor("b", "[]", 8, 12) + "}", 12)),
      "");
  EXPECT_EQ(Refusal(File(R"({"__metadata__":{"format":"pt"}})", 0)), "");
  EXPECT_EQ(Refusal(File("{" + Tensor("b", "[1]", 4, 8) + "," + Tensor("a", "[1]", 0, 4) + "}", 8)),
            "");
}

TEST(HostileSafetensors, HeaderLength) {
  ExpectRefusal("", "0 bytes are too few");
  ExpectRefusal("1234567", "7 bytes are too few");
  ExpectRefusal(std::string(8, '\xff'), "claims 18446744073709551615 bytes");
  std::string file = File("{}", 0);
  file[0] = 9;
  ExpectRefusal(file, "claims 9 bytes; 8 follow");
  ExpectRefusal(std::string(8, 0), "The document is empty");
}

TEST(HostileSafetensors, Offsets) {
  ExpectRefusal(File("{" + Tensor("a", "[1]", 0, 4) + "," + Tensor("b", "[1]", 0, 4) + "}", 4),
                "overlap at byte 0");
  ExpectRefusal(File("{" + Tensor("a", "[2]", 0, 8) + "," + Tensor("b", "[1]", 4, 8) + "}", 8),
                "\"a\" and \"b\" overlap at byte 4");
  ExpectRefusal(File("{" + Tensor("a", "[1]", 0, 4) + "," + Tensor("b", "[1]", 8, 12) + "}", 12),
                "bytes 4 to 8 of the data belong to no tensor");
  ExpectRefusal(File("{" + Tensor("a", "[1]", 4, 8) + "}", 8), "bytes 0 to 4");
  ExpectRefusal(File("{" + Tensor("a", "[1]", 0, 4) + "}", 8),
                "end at byte 4 of the data, the file has 8");
  ExpectRefusal(File("{" + Tensor("a", "[1]", 0, 4) + "}", 3), "lie outside the 3 bytes");
  ExpectRefusal(File("{" + Tensor("a", "[1]", 4, 0) + "}", 4), "lie outside");
  ExpectRefusal(File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4),
                "data_offsets [begin, end]");
  ExpectRefusal(File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4),
                "too many numbers");
  ExpectRefusal(File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4), "negative");
  ExpectRefusal(
      File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}})", 4),
      "lie outside");
}

TEST(HostileSafetensors, ShapesAndTypes) {
  ExpectRefusal(File("{" + Tensor("a", "[3]", 0, 4) + "}", 4),
                "hold 4 bytes, F32 of shape [3] needs 12");
  ExpectRefusal(File("{" + Tensor("a", "[2]", 0, 8, "BF16") + "}", 8), "needs 4");  // dtype lies
  ExpectRefusal(File("{" + Tensor("a", "[0]", 0, 0) + "}", 0), "dimension 0");
  ExpectRefusal(File("{" + Tensor("a", "[4294967296,4294967296]", 0, 0) + "}", 0),
                "more bytes than 64 bits");
  ExpectRefusal(File("{" + Tensor("a", "[4611686018427387904]", 0, 0) + "}", 0),
                "more bytes than 64 bits");
  ExpectRefusal(File("{" + Tensor("a", "[9223372036854775808]", 0, 0) + "}", 0),
                "dimension 9223372036854775808");
  ExpectRefusal(File("{" + Tensor("a", "[18446744073709551616]", 0, 0) + "}", 0),
                "only where the format has them");
  ExpectRefusal(File("{" + Tensor("a", "[1.5]", 0, 0) + "}", 0), "only where the format has them");
  ExpectRefusal(File("{" + Tensor("a", "[1,1,1,1,1,1,1,1,1]", 0, 4) + "}", 4),
                "too many numbers in \"shape\"");
  ExpectRefusal(File("{" + Tensor("a", "[1]", 0, 4, "I32") + "}", 4), "dtype I32 is not supported");
  ExpectRefusal(File("{" + Tensor("a", "[1]", 0, 4, "F33") + "}", 4), "unknown dtype \"F33\"");
  ExpectRefusal(
      File("{" + Tensor("a", "[1]", 0, 2, "F16") + "," + Tensor("b", "[1]", 2, 6) + "}", 6),
      "not a multiple of its element");
}

TEST(HostileSafetensors, NamesAndKeys) {
  ExpectRefusal(File("{" + Tensor("a", "[1]", 0, 4) + "," + Tensor("a", "[1]", 4, 8) + "}", 8),
                "\"a\" is listed twice");
  ExpectRefusal(File("{" + Tensor(std::string(257, 'n'), "[1]", 0, 4) + "}", 4),
                "name of 257 bytes");
  ExpectRefusal(File("{" + Tensor("", "[1]", 0, 4) + "}", 4), "name of 0 bytes");
  ExpectRefusal(File(R"({"a":{}})", 0), "expected dtype, shape and data_offsets");
  ExpectRefusal(File(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4),
                "key \"dtype\" twice");
  ExpectRefusal(File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"evil":1}})", 4),
                "unknown key \"evil\"");
  ExpectRefusal(File(R"({"a":[1]})", 0), "a list where none belongs");
  ExpectRefusal(File(R"({"a":5})", 0), "a number where none belongs");
  ExpectRefusal(File(R"(["a"])", 0), "a list where none belongs");
  ExpectRefusal(File(R"({"a":null})", 0), "only where the format has them");
  ExpectRefusal(File(R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", 4),
                "a number where none belongs");
  ExpectRefusal(File(R"({"a":{"dtype":"F32","shape":"x","data_offsets":[0,4]}})", 4),
                "must be a list");
  ExpectRefusal(File("{\"\xff\xfe\":{}}", 0), "header, byte");
  ExpectRefusal(File("{} x", 0), "header, byte");
}

TEST(HostileSafetensors, DeepAndLongHeadersCostNothing) {
  ExpectRefusal(File(std::string(2'000'000, '['), 0), "a list where none belongs");
  std::string deep = "{\"a\":";
  for (int i = 0; i < 200'000; ++i) deep += "{\"a\":";
  ExpectRefusal(File(deep, 0), "unknown key");
  // Numbers that a document tree would blow up twenty-fold stop at the ninth.
  std::string many = R"({"a":{"dtype":"F32","shape":[1)";
  for (int i = 0; i < 1'000'000; ++i) many += ",1";
  ExpectRefusal(File(many, 0), "too many numbers");
  ExpectRefusal(File(R"({"__metadata__":{"a":{"b":1}}})", 0), "nested deeper");
  std::string tensors = "{" + Tensor("a", "[1]", 0, 4);
  for (int i = 0; i < 70'000; ++i) tensors += "," + Tensor("t" + std::to_string(i), "[1]", 0, 4);
  ExpectRefusal(File(tensors + "}", 4), "tensor \"t65534\": more than 65536 tensors");
}

/// A checkpoint folder of the tiny shape whose parts a test replaces.
class HostileFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.shape = TinyShape();
    options_.folder = folder_.path() / "m";
    ASSERT_TRUE(SynthesizeCheckpoint(options_).ok());
  }
  void Shard() {
    fs::remove_all(options_.folder);
    options_.max_shard_bytes = 6000;
    ASSERT_TRUE(SynthesizeCheckpoint(options_).ok());
  }
  fs::path Path(const std::string& name) const { return options_.folder / name; }
  void ChangeConfig(const char* key, Json value) {
    Json json = ParseJson(ReadFile(Path("config.json")).value()).value();
    json.Set(key, std::move(value));
    WriteText(Path("config.json"), WriteJson(json));
  }
  void ChangeIndex(const std::function<void(Json::Object& map)>& change) {
    Json json = ParseJson(ReadFile(Path("model.safetensors.index.json")).value()).value();
    for (auto& [name, value] : json.as_object())
      if (name == "weight_map") change(value.as_object());
    WriteText(Path("model.safetensors.index.json"), WriteJson(json));
  }
  void ExpectError(const std::vector<std::string>& parts) const {
    const auto opened = Checkpoint::Open(options_.folder);
    ASSERT_FALSE(opened.ok());
    for (const std::string& part : parts)
      EXPECT_NE(opened.status().message().find(part), std::string::npos)
          << part << "\nin: " << opened.status().message();
  }

  TemporaryFolder folder_;
  SynthesizeOptions options_;
};

TEST_F(HostileFolder, MissingParts) {
  EXPECT_NE(Checkpoint::Open("/nowhere/at/all").status().message().find("no such folder"),
            std::string::npos);
  fs::remove(Path("model.safetensors"));
  ExpectError({"neither model.safetensors nor model.safetensors.index.json"});
  fs::remove(Path("config.json"));
  ExpectError({"config.json: no such file", "Hugging Face checkpoint folder"});
}

TEST_F(HostileFolder, TensorsAgainstTheConfig) {
  ChangeConfig("vocab_size", 41);
  ExpectError({"model.safetensors", "model.embed_tokens.weight", "expected shape [41, 16]",
               "found [40, 16]"});
  ChangeConfig("vocab_size", 40);
  ChangeConfig("num_hidden_layers", 3);
  ExpectError({"model.layers.2.input_layernorm.weight", "missing", "[16]"});
  ChangeConfig("num_hidden_layers", 1);
  ExpectError({"model.layers.1.", "not part of the model"});
  ChangeConfig("num_hidden_layers",
               16'000'000);  // costs nothing: stops at the first layer that is not there
  ExpectError({"model.layers.2.", "missing"});
  ChangeConfig("num_hidden_layers", 2);
  ChangeConfig("mamba_rms_norm", false);
  ExpectError({"mamba.norm.weight", "not part of the model"});
  ChangeConfig("mamba_rms_norm", true);
  ChangeConfig("attention_bias", true);
  ExpectError({"q_proj.bias", "missing"});
  ChangeConfig("attention_bias", false);
  ChangeConfig("tie_word_embeddings", true);
  ExpectError({"lm_head.weight differs from model.embed_tokens.weight"});
}

TEST_F(HostileFolder, TruncatedWeights) {
  fs::resize_file(Path("model.safetensors"), fs::file_size(Path("model.safetensors")) - 1);
  ExpectError({"model.safetensors", "lie outside"});
  fs::resize_file(Path("model.safetensors"), 100);
  ExpectError({"header claims", "is the download complete?"});
  fs::remove(Path("model.safetensors"));
  fs::create_directory(Path("model.safetensors"));
  ExpectError({"not a regular file"});
  fs::remove(Path("model.safetensors"));
  ASSERT_EQ(mkfifo(Path("model.safetensors").c_str(), 0600), 0);
  ExpectError({"not a regular file"});  // and does not wait for a writer
}

TEST_F(HostileFolder, Index) {
  Shard();
  const std::string good = ReadFile(Path("model.safetensors.index.json")).value();
  const auto restore = [&] { WriteText(Path("model.safetensors.index.json"), good); };
  ASSERT_TRUE(Checkpoint::Open(options_.folder).ok());
  for (const char* evil : {"../m/model-00001-of-00002.safetensors", "/etc/passwd",
                           "a/b.safetensors", ".safetensors", "config.json", ""}) {
    ChangeIndex([&](Json::Object& map) { map[0].second = evil; });
    ExpectError({"index.json", "expected the name of a .safetensors file in this folder"});
    restore();
  }
  ChangeIndex([&](Json::Object& map) { map[0].second = "gone.safetensors"; });
  ExpectError({"names a missing shard", "gone.safetensors"});
  restore();
  ChangeIndex([&](Json::Object& map) { std::swap(map.front().second, map.back().second); });
  ExpectError({"lists tensor", "does not hold it"});
  restore();
  ChangeIndex([&](Json::Object& map) { map.erase(map.begin() + 1); });
  ExpectError({"is not in model.safetensors.index.json"});
  restore();
  ChangeIndex([&](Json::Object& map) { map.emplace_back("extra", map.back().second); });
  ExpectError({"lists tensor \"extra\""});
  for (const char* text : {"[]", "{}", R"({"weight_map": {}})", R"({"weight_map": 3})"}) {
    WriteText(Path("model.safetensors.index.json"), text);
    ExpectError({"index.json", "expected an object \"weight_map\""});
  }
  WriteText(Path("model.safetensors.index.json"), std::string(1'000'000, '['));
  ExpectError({"nested deeper"});
}

TEST_F(HostileFolder, TheSameTensorInTwoShards) {
  Shard();
  std::string first;
  for (const auto& entry : fs::directory_iterator(options_.folder))
    if (entry.path().filename().string().starts_with("model-00001"))
      first = entry.path().filename();
  fs::copy_file(Path(first), Path("twin.safetensors"));
  ChangeIndex([&](Json::Object& map) { map.emplace_back("twin", "twin.safetensors"); });
  ExpectError({"twin.safetensors", "is also in " + first});
}

TEST_F(HostileFolder, DigestSeesEveryByteAndNothingIsWritten) {
  const std::string before = *Checkpoint::Open(options_.folder)->Digest();
  EXPECT_EQ(*Checkpoint::Open(options_.folder)->Digest(), before);
  std::string weights = ReadFile(Path("model.safetensors")).value();
  weights.back() ^= 1;
  WriteText(Path("model.safetensors"), weights);
  const std::string changed = *Checkpoint::Open(options_.folder)->Digest();
  EXPECT_NE(changed, before);
  WriteText(Path("tokenizer.json"), "{}");
  EXPECT_NE(*Checkpoint::Open(options_.folder)->Digest(), changed);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(options_.folder)) ++files;
  EXPECT_EQ(files, 4U);  // config, generation config, weights, and the tokenizer of above
}

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const TemporaryFolder folder;
  const std::vector<float> a = {1, 2, 3};
  const std::vector<std::uint16_t> b = {4, 5};
  const std::vector<TensorToWrite> tensors = {
      {{"a", DType::kF32, {3, 1}}, std::as_bytes(std::span(a))},
      {{"b", DType::kBF16, {2}}, std::as_bytes(std::span(b))}};
  ASSERT_TRUE(WriteSafetensors(folder.path() / "x.safetensors", tensors).ok());
  const auto file = SafetensorsFile::Open(folder.path() / "x.safetensors");
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_NE(file->Find("a"), nullptr);
  EXPECT_EQ(file->Find("a")->shape, (std::vector<std::int64_t>{3, 1}));
  EXPECT_TRUE(std::ranges::equal(file->Find("b")->bytes, std::as_bytes(std::span(b))));
  EXPECT_EQ(file->Find("c"), nullptr);
  const std::vector<TensorToWrite> short_of_bytes = {
      {{"a", DType::kF32, {4}}, std::as_bytes(std::span(a))}};
  EXPECT_FALSE(WriteSafetensors(folder.path() / "y.safetensors", short_of_bytes).ok());
  EXPECT_FALSE(fs::exists(folder.path() / "y.safetensors"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()),
            1);  // no leftovers
}

}  // namespace
}  // namespace h1bench
