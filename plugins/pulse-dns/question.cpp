#include "question.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

namespace pulse_dns {
namespace {

using gorb::sdk::Error;

constexpr std::array<std::string_view, 11> names = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                                    "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                                    "NXRRSET", "NOTAUTH", "NOTZONE"};

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
char upper(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
std::string uppercase(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), upper);
    return out;
}
std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}
bool plain(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

int rcode_of(std::string_view word) {
    const std::string wanted = uppercase(word);
    for (size_t i = 0; i < names.size(); ++i)
        if (wanted == names[i]) return static_cast<int>(i);
    int number = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error == std::errc() && end == word.data() + word.size() && number >= 0 && number < 16) return number;
    throw Error("\"rcode\": \"" + std::string(word) +
                "\" is no response code; NOERROR, NXDOMAIN, SERVFAIL, REFUSED and the like are, or 0 to 15");
}

// TYPE123 of RFC 3597, of which ldns reads any number in front and takes what is left of it: TYPE65537 for A.
bool odd_number(std::string_view word) {
    constexpr std::string_view generic = "TYPE";
    if (word.substr(0, generic.size()) != generic) return false;
    const std::string_view digits = word.substr(generic.size());
    uint16_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return error != std::errc() || end != digits.data() + digits.size();
}

ldns_rr_type type_of(std::string_view text) {
    const std::string word = uppercase(text);
    const bool readable = plain(word) && !odd_number(word);
    const ldns_rr_type type = readable ? ldns_get_rr_type_by_name(word.c_str()) : ldns_rr_type{};
    if (type == 0)
        throw Error("\"record\": \"" + std::string(text) +
                    "\" is no record type; A, AAAA, SOA, MX and the like are, or TYPE123");
    if (type == LDNS_RR_TYPE_AXFR || type == LDNS_RR_TYPE_IXFR || type == LDNS_RR_TYPE_OPT ||
        type == LDNS_RR_TYPE_TSIG || type == LDNS_RR_TYPE_MAILA || type == LDNS_RR_TYPE_MAILB)
        throw Error("\"record\": " + word + " can not be asked for in a check");
    return type;
}

// The name under which the PTR record of an address is found; "" for what is no address.
std::string reverse_name(const std::string& text) {
    uint8_t ip[16];
    std::string out;
    if (inet_pton(AF_INET, text.c_str(), ip) == 1) {
        for (int i = 3; i >= 0; --i) out += std::to_string(ip[i]) + ".";
        return out + "in-addr.arpa";
    }
    if (inet_pton(AF_INET6, text.c_str(), ip) != 1) return {};
    constexpr char digits[] = "0123456789abcdef";
    for (int i = 15; i >= 0; --i) {
        out += digits[ip[i] & 15];
        out += '.';
        out += digits[ip[i] >> 4];
        out += '.';
    }
    return out + "ip6.arpa";
}

std::string expected(std::string_view text, ldns_rr_type type) {
    bool v4 = type == LDNS_RR_TYPE_A, v6 = type == LDNS_RR_TYPE_AAAA;
    if (text.size() > 1024) throw Error("\"expect\" is longer than 1024 bytes");
    uint8_t ip[16];
    const std::string word(trimmed(text));
    if (type == LDNS_RR_TYPE_ANY) {  // an address is one there as well
        v4 = inet_pton(AF_INET, word.c_str(), ip) == 1;
        v6 = inet_pton(AF_INET6, word.c_str(), ip) == 1;
    }
    if (!v4 && !v6) {
        std::string out = comparable(text, type == LDNS_RR_TYPE_TXT);
        if (out.empty()) throw Error("\"expect\" is empty");
        return out;
    }
    char buffer[INET6_ADDRSTRLEN];
    const int family = v4 ? AF_INET : AF_INET6;
    if (inet_pton(family, word.c_str(), ip) != 1)
        throw Error("\"expect\": \"" + word + "\" is no IPv" + (v4 ? "4" : "6") + " address, which is what " +
                    (v4 ? "A" : "AAAA") + " records hold");
    return inet_ntop(family, ip, buffer, sizeof buffer);
}

std::string query(const std::string& name, ldns_rr_type type, ldns_rr_class klass, bool recursion) {
    if (!plain(name))
        throw Error(
            "\"name\" has blanks, control or non-ASCII characters: write international names as xn--...");
    ldns_rdf* raw_name = nullptr;
    if (name.empty() || ldns_str2rdf_dname(&raw_name, name.c_str()) != LDNS_STATUS_OK)
        throw Error("\"name\": \"" + name + "\" is no domain name");
    const uint16_t flags = recursion ? LDNS_RD : 0;
    ldns_pkt* packet = ldns_pkt_query_new(raw_name, type, klass, flags);  // owns the name
    if (!packet) {
        ldns_rdf_deep_free(raw_name);
        throw Error("out of memory", ENOMEM);
    }
    ldns_pkt_set_id(packet, 0);
    uint8_t* bytes = nullptr;
    size_t size = 0;
    const ldns_status status = ldns_pkt2wire(&bytes, packet, &size);
    ldns_pkt_free(packet);
    if (status != LDNS_STATUS_OK)
        throw Error(std::string("the query can not be built: ") + ldns_get_errorstr_by_id(status));
    std::string out(reinterpret_cast<char*>(bytes), size);
    std::free(bytes);
    return out;
}

}  // namespace

Rcodes Rcodes::parse(std::string_view text) {
    Rcodes out;
    for (size_t at = 0; at <= text.size();) {
        const size_t comma = std::min(text.find(',', at), text.size());
        out.bits_ = static_cast<uint16_t>(out.bits_ | 1u << rcode_of(trimmed(text.substr(at, comma - at))));
        at = comma + 1;
    }
    return out;
}

std::string Rcodes::text() const {
    std::string out;
    for (int i = 0; i < 16; ++i)
        if (accepts(i)) out += (out.empty() ? "" : " or ") + rcode_name(i);
    return out;
}

std::string rcode_name(int rcode) {
    if (rcode >= 0 && static_cast<size_t>(rcode) < names.size())
        return std::string(names[static_cast<size_t>(rcode)]);
    return "rcode " + std::to_string(rcode);
}

std::string comparable(std::string_view data, bool txt) {
    data = trimmed(data);
    if (txt) return std::string(data);
    std::string out;
    for (size_t at = 0; at < data.size();) {
        const size_t end = std::min(data.find_first_of(" \t", at), data.size());
        std::string_view word = data.substr(at, end - at);
        at = end + 1;
        if (word.size() > 1 && word.back() == '.') word.remove_suffix(1);
        if (word.empty()) continue;
        if (!out.empty()) out += ' ';
        for (const char c : word) out += lower(c);
    }
    return out;
}

bool holds(std::string_view data, std::string_view expect) {
    if (expect.empty()) return true;
    for (size_t at = data.find(expect); at != std::string_view::npos; at = data.find(expect, at + 1)) {
        const size_t end = at + expect.size();
        if ((at == 0 || data[at - 1] == ' ') && (end == data.size() || data[end] == ' ')) return true;
    }
    return false;
}

Question Question::parse(const gorb::sdk::Config& args) {
    Question out;
    const ldns_rr_type type = type_of(args.text("record").value_or("A"));
    out.type = static_cast<uint16_t>(type);
    out.name = std::string(args.text("name").value_or(""));
    if (type == LDNS_RR_TYPE_PTR) {
        const std::string reverse = reverse_name(out.name);
        if (!reverse.empty()) out.name = reverse;
    }
    const bool chaos = args.text("class").value_or("IN") == "CH";
    const ldns_rr_class klass = chaos ? LDNS_RR_CLASS_CH : LDNS_RR_CLASS_IN;
    out.klass = static_cast<uint16_t>(klass);
    out.wire = query(out.name, type, klass, args.boolean("recursion").value_or(true));
    out.rcodes = Rcodes::parse(args.text("rcode").value_or("NOERROR"));
    out.answers = args.integer("answers").value_or(1);
    if (const auto expect = args.text("expect")) {
        if (!out.rcodes.accepts(0))
            throw Error(
                "\"expect\" looks at the records of a NOERROR answer, which \"rcode\" does not allow");
        out.expect = expected(*expect, type);
        out.expect_txt = comparable(*expect, true);
    }
    return out;
}

std::string Question::message(uint16_t id) const {
    std::string out = wire;
    out[0] = static_cast<char>(id >> 8);
    out[1] = static_cast<char>(id & 0xff);
    return out;
}

std::string Question::type_name() const {
    char* text = ldns_rr_type2str(static_cast<ldns_rr_type>(type));
    std::string out = text ? text : "TYPE" + std::to_string(type);
    std::free(text);
    return out;
}

}  // namespace pulse_dns
