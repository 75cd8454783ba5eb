#include "match/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <charconv>
#include <gorb/sdk/values.hpp>
#include <vector>

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

// ---- what a search costs ----
//
// PCRE2's own limit is one for each place where a match may begin, and does not count what a single-character
// repeat (`[a-z]+`) goes over: a search of 64 KiB could take seconds within it. Hence it calls us before
// each part of the expression, and this is counted, with the way since the call before.

constexpr uint64_t bytes_a_step = 16;  // go by as quickly as one part is tried

// What a part of the expression may have looked at when it fails, for then nothing tells how far it came.
using Reach = uint16_t;
constexpr Reach none = 0, of_a_group = UINT16_MAX;

Reach reach_of(std::string_view part) {
    if (part.starts_with("(?P=") || part.starts_with("\\k") || part.starts_with("\\g") ||
        (part.size() > 1 && part[0] == '\\' && part[1] >= '1' && part[1] <= '9'))
        return of_a_group;  // a reference compares what the group has matched
    const size_t brace = part.rfind('{');
    Reach count = none;  // ".{1000}"; PCRE2 refuses more than 65535
    if (brace != std::string_view::npos)
        std::from_chars(part.data() + brace + 1, part.data() + part.size(), count);
    return count;
}

struct Parts {
    std::string_view source;
    std::vector<Reach> reach;  // of the part that begins at this character
};

int note_part(pcre2_callout_enumerate_block* block, void* arg) {
    auto& parts = *static_cast<Parts*>(arg);
    if (block->pattern_position < parts.source.size())
        parts.reach[block->pattern_position] =
            reach_of(parts.source.substr(block->pattern_position, block->next_item_length));
    return 0;
}

struct Meter {
    const std::vector<Reach>& reach;
    uint64_t bytes = 0;  // each part that is tried counts as bytes_a_step
    size_t at = 0;

    uint64_t steps() const { return bytes / bytes_a_step; }
};

size_t longest_group(const pcre2_callout_block& block) {
    size_t longest = 0;
    for (uint32_t i = 1; i < block.capture_top; ++i) {
        const PCRE2_SIZE begin = block.offset_vector[2 * i], end = block.offset_vector[2 * i + 1];
        if (begin != PCRE2_UNSET && begin < end) longest = std::max(longest, end - begin);
    }
    return longest;
}

int count_part(pcre2_callout_block* block, void* arg) {
    auto& meter = *static_cast<Meter*>(arg);
    const size_t at = block->current_position, part = block->pattern_position;
    meter.bytes += bytes_a_step + (at > meter.at ? at - meter.at : meter.at - at);
    meter.at = at;
    if (part < meter.reach.size() && meter.reach[part] != none)
        meter.bytes += meter.reach[part] == of_a_group ? longest_group(*block) : meter.reach[part];
    return meter.steps() > Pattern::most_steps ? PCRE2_ERROR_CALLOUT : 0;
}

}  // namespace

struct Pattern::Regex {
    Code code;
    MatchContext limits;
    bool anchored = false;     // matches at the beginning or not at all
    uint32_t share_group = 0;  // the number of the group of that name; 0: none
    std::vector<Reach> reach;
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
    regex->code.reset(pcre2_compile(units(source), source.size(),
                                    PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_AUTO_CALLOUT, &error, &at,
                                    context.get()));
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
    Parts parts{source, std::vector<Reach>(source.size(), none)};
    pcre2_callout_enumerate(regex->code.get(), note_part, &parts);
    regex->reach = std::move(parts.reach);
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
    const MatchContext context = made(MatchContext(pcre2_match_context_copy(regex_->limits.get())));
    from = std::min(from, text.size());
    Meter meter{regex_->reach, 0, from};
    pcre2_set_callout(context.get(), count_part, &meter);
    const int rc = pcre2_match(regex_->code.get(), units(text), text.size(), from,
                               last ? 0 : PCRE2_PARTIAL_SOFT, data.get(), context.get());
    const PCRE2_SIZE* where = pcre2_get_ovector_pointer(data.get());
    Searched out;
    out.steps = meter.steps();
    if (rc >= 0) {
        out.outcome = Outcome::found;
        out.end = std::max(where[0], where[1]);  // \K may turn them round
        if (group == 0) return out;
        const PCRE2_SIZE begin = where[2 * group], end = where[2 * group + 1];
        if (begin != PCRE2_UNSET && begin < end) out.share = text.substr(begin, end - begin);
    } else if (rc == PCRE2_ERROR_PARTIAL) {
        out.from = regex_->anchored ? 0 : where[0];
    } else if (rc != PCRE2_ERROR_NOMATCH) {
        out.outcome = Outcome::too_hard;
    } else if (last || regex_->anchored) {
        out.outcome = Outcome::never;
    } else {
        out.from = text.size();  // no match begins in what has come
    }
    return out;
}

Search::Outcome Search::look(std::string_view text, bool last) {
    if (!last && text.size() < next_) return Outcome::not_yet;
    const Pattern::Searched searched = pattern_->search(text, from_, last);
    from_ = searched.from;
    end_ = searched.end;
    share_ = searched.share;
    steps_ += searched.steps;
    constexpr uint64_t freely = 4 * Pattern::most_steps;
    next_ = text.size() + text.size() * (std::max(steps_, freely) - freely) / freely;
    return searched.outcome;
}

}  // namespace pulse_match
