// A regular expression (RE2) that is searched for in what a server sent.
//
// Threads: one at a time. Errors: compile() throws gorb::sdk::Error with a sentence.
// Cost: time linear in the text, at the worst (the states of the expression have no room in the memory) some
// 1 ns for each byte and each instruction of the expression; memory at most about 2 MiB. Roads not taken: to
// refuse large expressions, for [\pL]{1,50} has 67,000 instructions and is quick; more memory, which each of
// many different expressions could take, and which only puts off the worst.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pulse_http {

class Regex {
  public:
    static constexpr size_t longest = 1024;

    // `option` begins the sentence of a refusal: "\"expect-body\"".
    static Regex compile(std::string_view pattern, std::string_view option);
    Regex(Regex&&) noexcept;
    Regex& operator=(Regex&&) noexcept;
    ~Regex();

    // Somewhere in `text`: ^ and $ are its two ends, unless the expression says (?m). Characters are
    // those of UTF-8; where `text` is none, each byte of text and expression is one.
    bool found_in(std::string_view text) const { return search(text).has_value(); }
    // nullopt: it is not in there. What the group of the name share_group has matched, "" for none.
    std::optional<std::string_view> search(std::string_view text) const;
    // "/pattern/", cut where it is long, for a reason.
    std::string shown() const;

  private:
    struct Impl;
    explicit Regex(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

// What a body must have and what it may not.
struct BodyRules {
    std::optional<Regex> wanted, refused;
    bool any() const { return wanted || refused; }
};

}  // namespace pulse_http
