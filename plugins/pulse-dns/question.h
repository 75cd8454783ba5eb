// What is asked and what is hoped for: the arguments of a target, read once and shared by all targets that
// have the same.
//
// Errors: gorb::sdk::Error with a sentence, for arguments that make no sense.
#pragma once
#include <cstdint>
#include <gorb/sdk/values.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pulse_dns {

// Response codes that are fine: names as dig prints them or numbers, separated by commas
// ("NOERROR,NXDOMAIN").
class Rcodes {
  public:
    static Rcodes parse(std::string_view text);
    bool accepts(int rcode) const { return rcode >= 0 && rcode < 16 && (bits_ >> rcode & 1u) != 0; }
    std::string text() const;  // "NOERROR or NXDOMAIN"

  private:
    uint16_t bits_ = 0;
};
std::string rcode_name(int rcode);  // "SERVFAIL"; "rcode 14" for one without a name

// A record's data as it is compared with `expect`: a text without its outer blanks; names in lower case and
// without the final dot. TXT is left as it is.
std::string comparable(std::string_view data, bool txt);
// Does `expect` stand in `data` as a whole or as a run of whole words of it? Both comparable().
bool holds(std::string_view data, std::string_view expect);

struct Question {
    // Reads name, record (the type), class, expect, answers, rcode, recursion. Throws Error.
    static Question parse(const gorb::sdk::Config& args);

    // A query ready to be sent, with this id.
    std::string message(uint16_t id) const;
    std::string type_name() const;  // "AAAA", "TYPE65280"

    std::string wire;        // the query with id 0: header and one question
    uint16_t type = 1;       // as IANA numbers them
    uint16_t klass = 1;      // likewise
    std::string name;        // as asked, for words
    std::string expect;      // comparable(); "" for none
    std::string expect_txt;  // the same for a record that is TXT
    int64_t answers = 1;     // records of the type that a NOERROR answer holds at least
    Rcodes rcodes;
};

}  // namespace pulse_dns
