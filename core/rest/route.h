// From a request's method and path to the operation they name. Pure.
#pragma once
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gorb::rest {

struct Route {
    std::string_view method;     // "GET", which HEAD comes as (http.h)
    std::string_view pattern;    // "/service/{service}": a segment in braces takes a name
    std::string_view operation;  // operationId in openapi.json
    std::string_view takes;    // query parameters, as read_query() has them: "expand=services", "adopt drain"
    bool conditional = false;  // takes If-Match, and If-None-Match
};

// `text` in quotes, for a sentence: what is not printable ASCII becomes "?", what is long is cut.
std::string shown(std::string_view text);

class Router {
  public:
    static constexpr size_t max_names = 2;

    struct Found {
        size_t route = 0;  // index in the table
        std::array<std::string, max_names>
            names;  // percent-decoded, each within the rule of names (model::name_violation)
    };
    struct Missed {
        int status = 404;  // 404 unknown path, 405 wrong method, 400 a name that can not be one
        std::string sentence;
        std::string allow;  // for 405: value of the Allow header
    };

    explicit Router(std::vector<Route> routes);

    std::variant<Found, Missed> find(std::string_view method, std::string_view path) const;
    // "GET, HEAD, PUT, OPTIONS" for a path of the table, "" for any other.
    std::string allow(std::string_view path) const;
    // Of all paths, for "OPTIONS *".
    const std::string& methods() const { return methods_; }
    const Route& route(size_t index) const { return routes_[index]; }

  private:
    using Segments = std::vector<std::string_view>;
    static bool fits(const Segments& pattern, const Segments& path);
    std::string allow(const Segments& path) const;
    Missed unknown(std::string_view path) const;

    std::vector<Route> routes_;
    std::vector<Segments> patterns_;  // routes_[i].pattern in its segments
    std::string known_;               // all patterns, for the sentence of 404
    std::string methods_;
};

}  // namespace gorb::rest
