#include "expression.h"

#include <re2/re2.h>

#include <gorb/sdk/values.hpp>
#include <vector>

#include "match/share.h"
#include "words.h"

namespace pulse_http {

struct Regex::Impl {
    Impl(std::string_view pattern, re2::RE2::Options options)
        : regex(re2::StringPiece(pattern.data(), pattern.size()), options),
          bytes(re2::StringPiece(pattern.data(), pattern.size()), in_bytes(options)) {
        const auto& groups = regex.NamedCapturingGroups();
        if (const auto found = groups.find(pulse_match::share_group); found != groups.end())
            share_group = found->second;
    }
    re2::RE2 regex, bytes;
    int share_group = 0;  // its number; 0: none

  private:
    static re2::RE2::Options& in_bytes(re2::RE2::Options& options) {
        options.set_encoding(re2::RE2::Options::EncodingLatin1);
        return options;
    }
};

namespace {

bool is_utf8(re2::StringPiece text) {
    static const re2::RE2 characters("(?s).*");
    return re2::RE2::FullMatch(text, characters);
}

}  // namespace

Regex::Regex(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Regex Regex::compile(std::string_view pattern, std::string_view option) {
    const auto refuse = [&](const std::string& why) -> gorb::sdk::Error {
        return gorb::sdk::Error(std::string(option) + " " + why);
    };
    if (pattern.empty()) throw refuse("is an empty regular expression, which would match anything");
    if (pattern.size() > longest) throw refuse("is longer than " + std::to_string(longest) + " bytes");
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    auto impl = std::make_unique<Impl>(pattern, options);
    if (!impl->regex.ok())
        throw refuse("is no regular expression (" + printable(impl->regex.error(), 120) + ")");
    return Regex(std::move(impl));
}

std::optional<std::string_view> Regex::search(std::string_view text) const {
    const re2::StringPiece piece(text.data(), text.size());
    const int group = impl_->share_group;
    std::vector<re2::StringPiece> groups(group > 0 ? static_cast<size_t>(group) + 1 : 0);
    const auto found = [&](const re2::RE2& regex) {
        return regex.Match(piece, 0, piece.size(), re2::RE2::UNANCHORED, groups.data(),
                           static_cast<int>(groups.size()));
    };
    // No "." passes a byte that is no UTF-8, and old servers speak Latin-1.
    if (!found(impl_->regex) && (is_utf8(piece) || !found(impl_->bytes))) return std::nullopt;
    if (group == 0) return std::string_view();
    return std::string_view(groups.back().data(), groups.back().size());
}

std::string Regex::shown() const {
    return "/" + printable(impl_->regex.pattern(), 80) + "/";
}

}  // namespace pulse_http
