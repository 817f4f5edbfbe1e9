#include "tasks/helmet/dataset.h"

namespace h1bench::tasks::helmet {
namespace {

constexpr const char* kJsonKv =
    "{context}\n\nExtract the value corresponding to the specified key in the JSON object "
    "below.\n\n{demos}Key: {question}";
constexpr const char* kOneNeedle =
    "A special magic {type_needle_v} is hidden within the following text. Make sure to memorize "
    "it. I will quiz you about the {type_needle_v} afterwards.\n{context}\nWhat is the special "
    "magic {type_needle_v} for {question} mentioned in the provided text?";
constexpr const char* kOneStarted =
    "The special magic {type_needle_v} for {question} mentioned in the provided text is";
constexpr const char* kNeedles =
    "Some special magic {type_needle_v} are hidden within the following text. Make sure to "
    "memorize it. I will quiz you about the {type_needle_v} afterwards.\n{context}\nWhat are all "
    "the special magic {type_needle_v} for {question} mentioned in the provided text?";
constexpr const char* kStarted =
    "The special magic {type_needle_v} for {question} mentioned in the provided text are";
constexpr const char* kRag =
    "Use the given documents to write a concise and short answer to the question. Write your "
    "answer in the following format:\nAnswer: [answer]\n\n{demos}{context}\n\nQuestion: {question}";
constexpr const char* kIcl =
    "Use the provided mapping from the text to label to assign a label to the text. Only output "
    "\"label: {label}\" and nothing else. \n\n{context}\n\n{question}";
constexpr const char* kRerank =  // the misspelling is upstream's
    "You are provided with a list of documents, each indicated by their ID. Rank each document "
    "based on their relevance to the question in descending order from most relelvant to least "
    "relevant texts. Include all documents in the rankings. Write your answer using the unique "
    "IDs, with the following format:\nRanking: ID3 > ID1 > ID2\n\n{demos}{context}\n\nQuery: "
    "{question}";
constexpr const char* kBookQa =
    "You are given a story and a question. Answer the question as concisely as you can, using a "
    "single phrase if possible.\n\n{demos}{context}\n\nQuestion: {question}";
constexpr const char* kBookChoice =
    "You are given a story and a question with multiple choices. Choose the best answer from the "
    "options provided. Only one of the following options is correct, output the answer using one "
    "single letter (A, B, C, or D). Don't say anything else.\n\n{demos}{context}\n\nQuestion: "
    "{question}\nOptions:\n{options}";

Dataset Recall(const char* name, const char* file, std::int64_t new_tokens, bool one) {
  return {name,
          "Recall",
          ReadRuler,
          {file, ""},
          kLengths,
          Metric::kRecall,
          new_tokens,
          false,
          100,
          one ? kOneNeedle : kNeedles,
          one ? kOneStarted : kStarted,
          "\n",
          false};
}

Dataset Rag(const char* name, const char* questions, const char* demos) {
  return {name,
          "RAG",
          ReadQuestions,
          {questions, demos},
          {50, 105, 220, 440, 1000},
          Metric::kSubstring,
          20,
          true,
          100,
          kRag,
          "Answer:",
          "\n",
          false};
}

Dataset Icl(const char* name, const char* train, const char* test,
            std::array<std::int64_t, 5> examples) {
  return {name, "ICL", ReadExamples, {train, test}, examples, Metric::kExact, 20,
          true, 500,   kIcl,         "label:",      "\n",     false};
}

Dataset Books(const char* name, const char* file, Metric metric, const char* user) {
  return {name,      "InfBench", ReadBooks, {file, ""}, {7982, 16174, 32558, 65326, 130862},
          metric,    10,         false,     100,        user,
          "Answer:", "\n\n",     true};
}

}  // namespace

const std::vector<Dataset>& Datasets() {
  static const std::vector<Dataset> kAll = {
      {"json_kv",
       "Recall",
       ReadJsonKv,
       {"json_kv/test_k{}_dep6.jsonl", ""},
       {105, 220, 440, 900, 1800},
       Metric::kSubstring,
       100,
       false,
       100,
       kJsonKv,
       "Corresponding value:",
       "\n",
       false},
      Recall("ruler_niah_mk_2", "ruler/niah_multikey_2/validation_{}.jsonl", 50, true),
      Recall("ruler_niah_mk_3", "ruler/niah_multikey_3/validation_{}.jsonl", 100, true),
      Recall("ruler_niah_mv", "ruler/niah_multivalue/validation_{}.jsonl", 50, false),
      Rag("nq", "kilt/nq-dev-multikilt_1000_k{}_dep6.jsonl",
          "kilt/nq-train-multikilt_1000_k3_dep6.jsonl"),
      Rag("triviaqa", "kilt/triviaqa-dev-multikilt_1000_k{}_dep6.jsonl",
          "kilt/triviaqa-train-multikilt_1000_k3_dep6.jsonl"),
      Rag("hotpotqa", "kilt/hotpotqa-dev-multikilt_1000_k{}_dep3.jsonl",
          "kilt/hotpotqa-train-multikilt_1000_k3_dep3.jsonl"),
      Rag("popqa", "kilt/popqa_test_1000_k{}_dep6.jsonl", "kilt/popqa_test_1000_k3_dep6.jsonl"),
      Icl("trec_coarse", "icl/trec/train.jsonl", "icl/trec/test.jsonl",
          {400, 800, 1600, 3300, 6600}),
      Icl("trec_fine", "icl/trec/train.jsonl", "icl/trec/test.jsonl", {400, 800, 1600, 3200, 6400}),
      Icl("banking77", "icl/banking77/train.jsonl", "icl/banking77/test.jsonl",
          {360, 720, 1450, 2900, 5900}),
      Icl("clinic150", "icl/clinic150/train.jsonl", "icl/clinic150/validation.jsonl",
          {440, 880, 1750, 3525, 7050}),
      Icl("nlu", "icl/nlu/train.jsonl", "", {510, 1020, 2040, 4080, 8296}),
      {"msmarco_rerank_psg",
       "Re-rank",
       ReadRerank,
       {"msmarco/test_reranking_data_k{}_dep3.jsonl", "msmarco/test_reranking_data_k10_dep3.jsonl"},
       {50, 130, 285, 600, 1000},
       Metric::kNdcg,
       200,
       true,
       100,
       kRerank,
       "Ranking:",
       "\n",
       false},
      Books("infbench_qa", "infbench/longbook_qa_eng", Metric::kRougeL, kBookQa),
      Books("infbench_choice", "infbench/longbook_choice_eng", Metric::kChoice, kBookChoice)};
  return kAll;
}

}  // namespace h1bench::tasks::helmet
