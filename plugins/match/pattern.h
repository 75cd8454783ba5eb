// A pattern in what a server sends: bytes that must be contained, or a regular expression (PCRE2).
//
// Threads: any; a Pattern is not changed by its use.
// Cost: bounded whatever the bytes are. Bytes: one pass over what is new. A regular expression: at most
// `most_steps` steps and `most_heap` bytes a search, after which the outcome is `too_hard`. A step is a part
// of the expression that is tried somewhere, or 16 bytes that one goes over, so how many a search takes
// depends on the expression and the bytes alone.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace pulse_match {

class Pattern {
  public:
    static constexpr uint32_t most_steps = 100'000;   // about 2 ms
    static constexpr uint32_t most_heap = 4U << 20U;  // while a search runs
    static constexpr size_t most_regex = 1024, most_bytes = 4096;

    // Both throw sdk::Error, in a sentence that begins with `what`, for a pattern that is empty, too long or
    // (regular expressions) wrong.
    static Pattern bytes(std::string bytes, std::string_view what);
    static Pattern regex(std::string_view source, std::string_view what);
    ~Pattern();
    Pattern(Pattern&&) noexcept;
    Pattern& operator=(Pattern&&) noexcept;
    Pattern(const Pattern&) = delete;
    Pattern& operator=(const Pattern&) = delete;

    // For a reason: "+PONG" in quotes, /^\+PONG/ between slashes; about 60 characters at most.
    const std::string& shown() const { return shown_; }
    size_t shortest() const;  // no fewer bytes can match

    enum class Outcome {
        found,
        not_yet,  // more bytes may make it match
        never,    // they can not
        too_hard  // a regular expression reached its limits
    };
    struct Searched {
        Outcome outcome = Outcome::not_yet;
        size_t end = 0;   // found: just behind the match
        size_t from = 0;  // not_yet: where the search may go on when more has been appended
        // found: what the group of the name share_group has matched, in `text`; "" for none.
        std::string_view share;
        uint64_t steps = 0;  // that it took
    };
    // Seeks in all that has come, `text`, from `from` on: 0 at first, then what the search before said.
    // `last`: nothing will follow, so `not_yet` is no outcome.
    Searched search(std::string_view text, size_t from, bool last) const;

  private:
    struct Regex;
    explicit Pattern(std::string shown);
    Searched search_regex(std::string_view text, size_t from, bool last) const;

    std::string shown_, bytes_;
    std::unique_ptr<Regex> regex_;  // null: bytes_ are sought
};

// One search in a reply that grows. A regular expression looks at the same bytes again with each piece. Once
// that has taken four times `most_steps`, the next look waits until the reply is longer by a part that grows
// with what the looks have taken: all of them together stay under 20 times `most_steps`, in however many
// pieces a server sends 64 KiB.
class Search {
  public:
    using Outcome = Pattern::Outcome;

    explicit Search(const Pattern& pattern) : pattern_(&pattern) {}
    // `text` is all that has come. After an outcome other than `not_yet` there is nothing more to ask.
    Outcome look(std::string_view text, bool last);
    size_t end() const { return end_; }                // found: just behind the match
    std::string_view share() const { return share_; }  // found: as in Searched, of that text
    uint64_t steps() const { return steps_; }          // of all looks up to now

  private:
    const Pattern* pattern_;
    size_t from_ = 0, next_ = 0, end_ = 0;
    std::string_view share_;
    uint64_t steps_ = 0;
};

}  // namespace pulse_match
