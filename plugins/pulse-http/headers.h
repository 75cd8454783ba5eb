// Headers as options write them: those that a request gets besides its own, and those that a reply must have.
//
// Pure. Errors: parse() throws gorb::sdk::Error with a sentence that names the option.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "expression.h"

namespace pulse_http {

// Without blanks and tabs at both ends.
std::string_view trimmed(std::string_view text);

constexpr size_t most_headers = 32;  // in one option

// {"Authorization": "Bearer x", "X-Probe": 1}: name -> text or number.
struct ExtraHeaders {
    struct Line {
        std::string name, value;
    };
    std::vector<Line> lines;

    // Refuses what could end a line, the headers that say where a request ends or what becomes of its
    // connection, Host (which has an option of its own), and a name that comes twice.
    static ExtraHeaders parse(std::string_view json);
    bool has(std::string_view name) const;
};

// {"X-Ready": "yes", "Server": {"regex": "^nginx"}, "Set-Cookie": false}: a text or number must be the value
// (blanks around it do not count), {"regex": R} must be found in it, true: the header must be there, false:
// it must not. Where a header comes several times, one good line is enough.
class HeaderRules {
  public:
    static HeaderRules parse(std::string_view json);

    struct Rule {
        std::string name;
        bool wanted = true;                // false: must not be there
        std::optional<std::string> value;  // must be equal
        std::optional<Regex> regex;        // must be found
    };
    // What was seen of the rule with the same index.
    struct Seen {
        bool present = false, good = false;
        std::string value;  // of the last line that was not good
    };

    bool empty() const { return rules_.empty(); }
    size_t size() const { return rules_.size(); }
    // A line of a reply has come; `seen` has size() entries.
    void see(std::string_view name, std::string_view value, std::vector<Seen>& seen) const;
    // "" when every rule is kept, else the first that is not: `header X-Ready is "no" (expected "yes")`.
    std::string broken(const std::vector<Seen>& seen) const;

  private:
    std::vector<Rule> rules_;
};

}  // namespace pulse_http
