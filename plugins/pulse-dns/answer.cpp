#include "answer.h"

#include <ldns/ldns.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace pulse_dns {
namespace {

constexpr size_t header_size = 12;

struct FreeRr {
    void operator()(ldns_rr* rr) const { ldns_rr_free(rr); }
};
using Rr = std::unique_ptr<ldns_rr, FreeRr>;

Judgement foreign(std::string words) {
    return {Judgement::Kind::foreign, false, 0, std::move(words)};
}
Judgement failed(int rcode, std::string words) {
    return {Judgement::Kind::judged, false, rcode, std::move(words)};
}

std::string printable(std::string_view text, size_t most) {
    std::string out;
    for (const char c : text.substr(0, most)) out += c >= 0x20 && c < 0x7f ? c : '?';
    return text.size() > most ? out + "..." : out;
}

class Reader {
  public:
    explicit Reader(std::string_view message)
        : bytes_(reinterpret_cast<const uint8_t*>(message.data())), size_(message.size()) {}

    unsigned u8(size_t at) const { return bytes_[at]; }
    unsigned u16(size_t at) const { return u8(at) << 8 | u8(at + 1); }
    // The next record; nullptr, with error() set, where there is none.
    Rr record(ldns_pkt_section section) {
        ldns_rr* rr = nullptr;
        const ldns_status status = ldns_wire2rr(&rr, bytes_, size_, &at_, section);
        if (status == LDNS_STATUS_OK) return Rr(rr);
        error_ = ldns_get_errorstr_by_id(status);
        return nullptr;
    }
    const std::string& error() const { return error_; }

  private:
    const uint8_t* const bytes_;
    const size_t size_;
    size_t at_ = header_size;
    std::string error_;
};

// The data as dig prints it; of TXT the strings joined, without quotes.
std::string data_of(const ldns_rr& rr, bool txt) {
    std::string out;
    for (size_t i = 0; i < ldns_rr_rd_count(&rr); ++i) {
        const ldns_rdf* part = ldns_rr_rdf(&rr, i);
        if (!part) continue;
        if (txt) {
            const size_t size = ldns_rdf_size(part);
            const auto* bytes = reinterpret_cast<const char*>(ldns_rdf_data(part));
            if (size > 1) out.append(bytes + 1, size - 1);
            continue;
        }
        char* text = ldns_rdf2str(part);
        if (!text) continue;
        if (!out.empty()) out += ' ';
        out += text;
        std::free(text);
    }
    return out;
}

// Says why the question section is not the one that was asked; "" when it is.
std::string other_question(const Question& question, Reader& reader) {
    const Rr there = reader.record(LDNS_SECTION_QUESTION);
    if (!there) return "its question can not be read";
    Reader own(question.wire);
    const Rr asked = own.record(LDNS_SECTION_QUESTION);
    const bool same = asked && ldns_rr_get_type(there.get()) == ldns_rr_get_type(asked.get()) &&
                      ldns_rr_get_class(there.get()) == ldns_rr_get_class(asked.get()) &&
                      ldns_dname_compare(ldns_rr_owner(there.get()), ldns_rr_owner(asked.get())) == 0;
    return same ? "" : "it is about another question";
}

std::string counted(int64_t count, const std::string& type) {
    return std::to_string(count) + " " + type + (count == 1 ? " record" : " records");
}

Judgement judge_records(const Question& question, Reader& reader, size_t count) {
    const bool any = question.type == LDNS_RR_TYPE_ANY, txt = question.type == LDNS_RR_TYPE_TXT;
    const std::string type = any ? "" : question.type_name();
    int64_t found = 0;
    bool met = question.expect.empty();
    std::string seen;
    for (size_t i = 0; i < std::min(count, most_records); ++i) {
        const Rr rr = reader.record(LDNS_SECTION_ANSWER);
        if (!rr)
            return failed(0, "malformed answer: record " + std::to_string(i + 1) + ": " +
                                 printable(reader.error(), 80));
        if ((!any && ldns_rr_get_type(rr.get()) != question.type) ||
            ldns_rr_get_class(rr.get()) != question.klass)
            continue;
        ++found;
        if (met) continue;
        const bool is_txt = txt || ldns_rr_get_type(rr.get()) == LDNS_RR_TYPE_TXT;
        const std::string data = data_of(*rr, is_txt);
        met = holds(comparable(data, is_txt), is_txt ? question.expect_txt : question.expect);
        if (!met && seen.size() < 100) seen += (seen.empty() ? "" : ", ") + printable(data, 60);
    }
    const std::string of_type = any ? "record" : type + " record";
    if (found < question.answers)
        return failed(0, found == 0 ? "NOERROR, but no " + of_type + " in the answer"
                                    : "NOERROR, but only " + counted(found, type) + " (expected " +
                                          std::to_string(question.answers) + ")");
    if (!met)
        return failed(0, "no " + of_type + " holds \"" + printable(question.expect, 60) + "\"" +
                             (found == 0 ? " (there is none)" : " (there is " + seen + ")"));
    return {Judgement::Kind::judged, true, 0,
            any ? "NOERROR, " + std::to_string(found) + " records" : "NOERROR, " + counted(found, type)};
}

}  // namespace

Judgement judge(const Question& question, uint16_t id, std::string_view message, bool heed_truncation) {
    if (message.size() < header_size) return foreign("it is too short to be DNS");
    Reader reader(message);
    if (reader.u16(0) != id) return foreign("its id is another one");
    const unsigned flags = reader.u16(2), questions = reader.u16(4), answers = reader.u16(6);
    if ((flags & 0x8000u) == 0) return foreign("it is a query");
    if ((flags & 0x7800u) != 0) return foreign("it answers another kind of message");
    const int rcode = static_cast<int>(flags & 15u);
    // Some servers refuse without repeating the question; the id and the connected socket still tie it to us.
    if (questions == 0 && rcode == 0) return foreign("it has no question");
    if (questions > 1) return foreign("it has more than one question");
    if (questions == 1) {
        const std::string other = other_question(question, reader);
        if (!other.empty()) return foreign(other);
    }
    if (heed_truncation && (flags & 0x0200u) != 0)
        return {Judgement::Kind::truncated, false, rcode, "the answer was truncated"};
    if (!question.rcodes.accepts(rcode))
        return failed(rcode, rcode_name(rcode) + " (expected " + question.rcodes.text() + ")");
    if (rcode != 0) return {Judgement::Kind::judged, true, rcode, rcode_name(rcode)};
    return judge_records(question, reader, answers);
}

}  // namespace pulse_dns
