#pragma once

#include <array>
#include <string_view>

namespace h1bench::tasks {

/// The haystack of the niah task: plain sentences of our own, repeated in this order and joined by
/// one space. The needle goes between two of them. The demo model is trained on the same text
/// (demo/corpus.py reads this file), so a change here changes prompts, hashes and the demo's
/// scores.
inline constexpr std::array<std::string_view, 32> kHaystack = {
    "The baker opened the door before the sun was up.",
    "A small boat moved slowly across the lake.",
    "Nobody in the village had seen so much snow.",
    "The old clock on the wall was always late.",
    "Two children carried a basket of pears up the hill.",
    "The train stopped for a while between the stations.",
    "In the garden the first roses had begun to open.",
    "The teacher wrote a long list on the board.",
    "A grey cat slept on the warm stones.",
    "The letter had been lying on the table for a week.",
    "Somewhere behind the house a dog began to bark.",
    "The market was full of people and noise.",
    "She closed the window because the wind was cold.",
    "They talked about the harvest until it was dark.",
    "The road to the sea runs through a quiet forest.",
    "A painter sat by the bridge and mixed his colours.",
    "The soup was hot and the bread was fresh.",
    "He counted the steps from the gate to the tower.",
    "The library keeps its oldest maps in a wooden box.",
    "On the other side of the river a bell was ringing.",
    "The farmer mended the fence with a piece of wire.",
    "It rained all morning and the streets were empty.",
    "The smith lit his fire and began to work.",
    "A lamp was burning in the highest room.",
    "The guests arrived late and stayed for supper.",
    "Her brother had learned to play the flute.",
    "The path was steep but the view was wide.",
    "Every evening the fishermen told the same story.",
    "The apples in the cellar smelled of autumn.",
    "A stranger asked the way to the mill.",
    "The stars were bright above the dark fields.",
    "At noon the whole house was silent.",
};

/// Words a key is made of ("quiet-river"): adjective, hyphen, noun.
inline constexpr std::array<std::string_view, 16> kKeyAdjectives = {
    "amber", "brave",  "calm",  "early", "gentle", "golden", "hidden", "little",
    "lucky", "narrow", "proud", "quiet", "rapid",  "silver", "tall",   "young"};
inline constexpr std::array<std::string_view, 16> kKeyNouns = {
    "anchor", "basket", "candle", "falcon", "garden", "island", "ladder", "lantern",
    "meadow", "mirror", "needle", "pepper", "river",  "saddle", "tunnel", "window"};

/// RULER's single-needle wording (NVIDIA/RULER, scripts/data/synthetic/niah.py, after its singular
/// replacements). The needle is `kNeedle` with key and value; the prompt is kBefore + haystack +
/// kAfter with the key twice.
inline constexpr std::string_view kNeedle =
    "One of the special magic numbers for {key} is: {value}.";
inline constexpr std::string_view kBefore =
    "A special magic number is hidden within the following text. Make sure to memorize it. I will "
    "quiz you about the "
    "number afterwards.\n";
inline constexpr std::string_view kAfter =
    "\nWhat is the special magic number for {key} mentioned in the provided text? The special "
    "magic number for {key} "
    "mentioned in the provided text is";

}  // namespace h1bench::tasks
