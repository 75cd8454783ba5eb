#include "rest/route.h"

#include <Poco/Exception.h>
#include <Poco/URI.h>

#include <algorithm>
#include <optional>
#include <tl/expected.hpp>

#include "base/check.h"
#include "model/rules.h"

namespace gorb::rest {
namespace {

// "/a/b" -> {"a", "b"}, "/" -> {""}. nullopt for what does not begin with a slash.
std::optional<std::vector<std::string_view>> split(std::string_view path) {
    if (!path.starts_with('/')) return std::nullopt;
    std::vector<std::string_view> segments;
    segments.reserve(4);
    while (!path.empty()) {
        path.remove_prefix(1);
        segments.push_back(path.substr(0, path.find('/')));
        path.remove_prefix(segments.back().size());
    }
    return segments;
}

bool takes_name(std::string_view segment) {
    return segment.starts_with('{');
}

void append_method(std::string& to, std::string_view method) {
    to.append(method).append(method == "GET" ? ", HEAD, " : ", ");
}

// The name that `segment` stands for, or a sentence why it is none. `pattern` is such as "{service}".
tl::expected<std::string, std::string> read_name(std::string_view pattern, std::string_view segment) {
    std::string name;
    std::string wrong;
    try {
        Poco::URI::decode(std::string(segment), name);
        if (const auto violation = model::name_violation(name)) wrong = "but " + *violation;
    } catch (const Poco::Exception&) {
        wrong = "which is not percent-encoded correctly";
    }
    if (wrong.empty()) return name;
    return tl::unexpected("the path names the " + std::string(pattern.substr(1, pattern.size() - 2)) + " " +
                          shown(segment) + ", " + wrong);
}

}  // namespace

std::string shown(std::string_view text) {
    constexpr size_t longest = 100;
    std::string out = "\"";
    for (const char c : text.substr(0, longest)) out += c >= 0x20 && c < 0x7f ? c : '?';
    if (text.size() > longest) out += "...";
    return out + '"';
}

Router::Router(std::vector<Route> routes) : routes_(std::move(routes)) {
    for (const Route& route : routes_) {
        auto segments = split(route.pattern);
        GORB_CHECK(segments && std::count_if(segments->begin(), segments->end(), takes_name) <=
                                   static_cast<std::ptrdiff_t>(max_names));
        patterns_.push_back(std::move(*segments));
        const auto earlier = std::find_if(routes_.begin(), routes_.end(),
                                          [&](const Route& r) { return r.pattern == route.pattern; });
        const bool first = &*earlier == &route;
        if (first) known_.append(known_.empty() ? "" : ", ").append(route.pattern);
        const auto same = [&](const Route& r) { return r.method == route.method; };
        if (&*std::find_if(routes_.begin(), routes_.end(), same) == &route)
            append_method(methods_, route.method);
    }
    methods_ += "OPTIONS";
}

bool Router::fits(const Segments& pattern, const Segments& path) {
    return std::equal(
        pattern.begin(), pattern.end(), path.begin(), path.end(),
        [](std::string_view p, std::string_view s) { return takes_name(p) ? !s.empty() : p == s; });
}

std::variant<Router::Found, Router::Missed> Router::find(std::string_view method,
                                                         std::string_view path) const {
    const auto segments = split(path);
    if (!segments) return unknown(path);
    for (size_t i = 0; i < routes_.size(); ++i) {
        if (routes_[i].method != method || !fits(patterns_[i], *segments)) continue;
        Found found{i, {}};
        size_t next = 0;
        for (size_t n = 0; n < segments->size(); ++n) {
            if (!takes_name(patterns_[i][n])) continue;
            auto name = read_name(patterns_[i][n], (*segments)[n]);
            if (!name) return Missed{400, name.error(), {}};
            found.names[next++] = std::move(*name);
        }
        return found;
    }
    auto allowed = allow(*segments);
    if (allowed.empty()) return unknown(path);
    return Missed{405, "the method " + shown(method) + " is not for " + shown(path) + "; it takes " + allowed,
                  allowed};
}

std::string Router::allow(std::string_view path) const {
    const auto segments = split(path);
    return segments ? allow(*segments) : std::string();
}

std::string Router::allow(const Segments& path) const {
    std::string out;
    for (size_t i = 0; i < routes_.size(); ++i) {
        if (!fits(patterns_[i], path)) continue;
        append_method(out, routes_[i].method);
    }
    return out.empty() ? out : out + "OPTIONS";
}

Router::Missed Router::unknown(std::string_view path) const {
    Missed missed{404, "there is nothing at " + shown(path), {}};
    const auto end = path.find_last_not_of('/');
    if (path.ends_with('/') && end != std::string_view::npos && !allow(path.substr(0, end + 1)).empty()) {
        missed.sentence += "; without the slash at its end it is " + shown(path.substr(0, end + 1));
    } else {
        missed.sentence += "; known paths are " + known_;
    }
    return missed;
}

}  // namespace gorb::rest
