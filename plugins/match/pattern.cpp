#include "match/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <gorb/sdk/values.hpp>

#include "match/share.h"
#include "match/text.h"

namespace pulse_match {
namespace {

using gorb::sdk::Error;

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* p) const {
        Free(p);
    }
};
using Code = std::unique_ptr<pcre2_code, Freed<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Freed<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freed<pcre2_match_data_free>>;

template <class T>
T made(T thing) {
    if (!thing) throw std::bad_alloc();
    return thing;
}

PCRE2_SPTR units(std::string_view text) {
    return reinterpret_cast<PCRE2_SPTR>(text.empty() ? "" : text.data());
}

}  // namespace

struct Pattern::Regex {
    Code code;
    MatchContext limits;
    bool anchored = false;     // matches at the beginning or not at all
    uint32_t share_group = 0;  // the number of the group of that name; 0: none
};

Pattern::Pattern(std::string shown) : shown_(std::move(shown)) {}
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

Pattern Pattern::bytes(std::string bytes, std::string_view what) {
    if (bytes.empty()) throw Error(std::string(what) + " is empty, which every reply would match");
    if (bytes.size() > most_bytes)
        throw Error(std::string(what) + " is longer than " + std::to_string(most_bytes) + " bytes");
    Pattern pattern(in_quotes(bytes, 60));
    pattern.bytes_ = std::move(bytes);
    return pattern;
}

Pattern Pattern::regex(std::string_view source, std::string_view what) {
    if (source.empty()) throw Error(std::string(what) + " is empty, which every reply would match");
    if (source.size() > most_regex)
        throw Error(std::string(what) + " is longer than " + std::to_string(most_regex) + " characters");
    const CompileContext context = made(CompileContext(pcre2_compile_context_create(nullptr)));
    pcre2_set_newline(context.get(),
                      PCRE2_NEWLINE_ANYCRLF);  // "." stops at the end of a line of any protocol
    int error = 0;
    PCRE2_SIZE at = 0;
    auto regex = std::make_unique<Regex>();
    // Bytes, not characters: what a server sends need not be UTF-8.
    regex->code.reset(pcre2_compile(units(source), source.size(), PCRE2_NEVER_UTF | PCRE2_NEVER_UCP, &error,
                                    &at, context.get()));
    if (!regex->code) {
        PCRE2_UCHAR words[128] = "";
        pcre2_get_error_message(error, words, sizeof words);
        throw Error(std::string(what) + " is no regular expression: " + reinterpret_cast<char*>(words) +
                    " at character " + std::to_string(at + 1));
    }
    const int group = pcre2_substring_number_from_name(regex->code.get(), units(share_group));
    if (group == PCRE2_ERROR_NOUNIQUESUBSTRING)
        throw Error(std::string(what) + " has more than one group of the name \"share\"");
    if (group > 0) regex->share_group = static_cast<uint32_t>(group);
    uint32_t options = 0;
    pcre2_pattern_info(regex->code.get(), PCRE2_INFO_ALLOPTIONS, &options);
    regex->anchored = (options & PCRE2_ANCHORED) != 0;
    regex->limits = made(MatchContext(pcre2_match_context_create(nullptr)));
    pcre2_set_match_limit(regex->limits.get(), most_steps);
    pcre2_set_heap_limit(regex->limits.get(), most_heap / 1024);
    std::string shown = in_quotes(source, 60);  // in slashes instead of quotes
    shown.front() = '/';
    shown[shown.rfind('"')] = '/';
    for (size_t twice = 0; (twice = shown.find("\\\\", twice)) != std::string::npos; ++twice)
        shown.erase(twice, 1);
    Pattern pattern(std::move(shown));
    pattern.regex_ = std::move(regex);
    return pattern;
}

size_t Pattern::shortest() const {
    if (!regex_) return bytes_.size();
    uint32_t least = 0;
    pcre2_pattern_info(regex_->code.get(), PCRE2_INFO_MINLENGTH, &least);
    return least;
}

Pattern::Searched Pattern::search(std::string_view text, size_t from, bool last) const {
    if (regex_) return search_regex(text, from, last);
    const size_t at = text.find(bytes_, from);
    if (at != std::string_view::npos) return {Outcome::found, at + bytes_.size(), 0};
    if (last) return {Outcome::never, 0, 0};
    const size_t behind = text.size() + 1;  // its beginning may be there already
    return {Outcome::not_yet, 0, behind > bytes_.size() ? behind - bytes_.size() : 0};
}

Pattern::Searched Pattern::search_regex(std::string_view text, size_t from, bool last) const {
    const uint32_t group = regex_->share_group;
    const MatchData data = made(MatchData(pcre2_match_data_create(group + 1, nullptr)));
    const int rc = pcre2_match(regex_->code.get(), units(text), text.size(), std::min(from, text.size()),
                               last ? 0 : PCRE2_PARTIAL_SOFT, data.get(), regex_->limits.get());
    const PCRE2_SIZE* where = pcre2_get_ovector_pointer(data.get());
    if (rc >= 0) {
        Searched out{Outcome::found, std::max(where[0], where[1])};  // \K may turn them round
        if (group == 0) return out;
        const PCRE2_SIZE begin = where[2 * group], end = where[2 * group + 1];
        if (begin != PCRE2_UNSET && begin < end) out.share = text.substr(begin, end - begin);
        return out;
    }
    if (rc == PCRE2_ERROR_PARTIAL) return {Outcome::not_yet, 0, regex_->anchored ? 0 : where[0]};
    if (rc != PCRE2_ERROR_NOMATCH) return {Outcome::too_hard, 0, 0};
    if (last || regex_->anchored) return {Outcome::never, 0, 0};
    return {Outcome::not_yet, 0, text.size()};  // no match begins in what has come
}

Search::Outcome Search::look(std::string_view text, bool last) {
    if (!last && text.size() < next_) return Outcome::not_yet;
    const Pattern::Searched searched = pattern_->search(text, from_, last);
    from_ = searched.from;
    end_ = searched.end;
    share_ = searched.share;
    constexpr uint32_t freely = 256;
    const bool again =
        pattern_->is_regex() && from_ < text.size();  // the next look sees the same bytes once more
    if (again && ++tries_ > freely) next_ = text.size() + text.size() / 16;
    return searched.outcome;
}

}  // namespace pulse_match
