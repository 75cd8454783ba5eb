// Reads what came back for a query, and judges it. Pure: bytes in, values out; ldns reads the records.
//
// Cost: bounded whatever the message holds; at most most_records records of the answer section are read,
// nothing behind.
#pragma once
#include <string>
#include <string_view>

#include "question.h"

namespace pulse_dns {

constexpr size_t most_records = 512;

struct Judgement {
    enum class Kind {
        foreign,  // not an answer to this query (spoofed, late, of another question): words say how one sees
                  // that
        truncated,  // TC: to be asked again over TCP
        judged,     // pass, rcode and words are there
    };
    Kind kind = Kind::foreign;
    bool pass = false;
    int rcode = 0;      // 0 as well where the answer can not be read
    std::string words;  // printable ASCII, under 256 bytes
};

// message: one whole message, without TCP's length. heed_truncation: false over TCP, where TC means nothing
// more to get.
Judgement judge(const Question& question, uint16_t id, std::string_view message, bool heed_truncation);

}  // namespace pulse_dns
