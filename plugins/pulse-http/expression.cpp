#include "expression.h"

#include <re2/re2.h>

#include <gorb/sdk/values.hpp>

#include "words.h"

namespace pulse_http {

struct Regex::Impl {
    Impl(std::string_view pattern, re2::RE2::Options options)
        : regex(re2::StringPiece(pattern.data(), pattern.size()), options),
          bytes(re2::StringPiece(pattern.data(), pattern.size()), in_bytes(options)) {}
    re2::RE2 regex, bytes;

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
    options.set_never_capture(true);
    options.set_max_mem(1 << 20);
    auto impl = std::make_unique<Impl>(pattern, options);
    if (!impl->regex.ok())
        throw refuse("is no regular expression (" + printable(impl->regex.error(), 120) + ")");
    return Regex(std::move(impl));
}

bool Regex::found_in(std::string_view text) const {
    const re2::StringPiece piece(text.data(), text.size());
    // No "." passes a byte that is no UTF-8, and old servers speak Latin-1.
    return re2::RE2::PartialMatch(piece, impl_->regex) ||
           (!is_utf8(piece) && re2::RE2::PartialMatch(piece, impl_->bytes));
}

std::string Regex::shown() const {
    return "/" + printable(impl_->regex.pattern(), 80) + "/";
}

}  // namespace pulse_http
