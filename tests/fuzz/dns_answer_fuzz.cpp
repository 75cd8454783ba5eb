// Any bytes as the answer to a DNS check: nothing crashes, the words are short and printable, and only an
// answer to the query itself passes.
#include <cstdint>
#include <cstdlib>
#include <gorb/testing/config.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "answer.h"

namespace {

using gorb::testing::FakeConfig;
using gorb::testing::Values;
using pulse_dns::Judgement;
using pulse_dns::Question;

void check(bool good) {
    if (!good) std::abort();
}

constexpr gorb_option options[] = {
    {"name", GORB_TEXT, 0, nullptr, nullptr, ""},      {"record", GORB_TEXT, 0, nullptr, nullptr, ""},
    {"class", GORB_TEXT, 0, nullptr, nullptr, ""},     {"expect", GORB_TEXT, 0, nullptr, nullptr, ""},
    {"rcode", GORB_TEXT, 0, nullptr, nullptr, ""},     {"answers", GORB_INT, 0, nullptr, nullptr, ""},
    {"recursion", GORB_BOOL, 0, nullptr, nullptr, ""}, {}};

Question question(const Values& values) {
    const FakeConfig config(options, values);
    return Question::parse(gorb::sdk::Config(config.c()));
}

}  // namespace

// The first byte chooses the question, the second the transport.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const std::vector<Question> questions = {
        question({{"name", "www.example"}, {"expect", "192.0.2.1"}}),
        question({{"name", "example"}, {"record", "SOA"}, {"rcode", "NOERROR,NXDOMAIN,SERVFAIL"}}),
        question({{"name", "example"}, {"record", "TXT"}, {"expect", "v=spf1"}}),
        question({{"name", "example"}, {"record", "ANY"}, {"answers", "0"}, {"expect", "mail.example"}}),
        question({{"name", "example"}, {"record", "MX"}, {"expect", "10 mail.example"}}),
    };
    if (size < 2) return 0;
    const Question& asked = questions[data[0] % questions.size()];
    const std::string_view message(reinterpret_cast<const char*>(data) + 2, size - 2);
    constexpr uint16_t id = 0x4242;
    const Judgement got = pulse_dns::judge(asked, id, message, data[1] % 2 == 0);
    check(got.words.size() < 256);
    check(!got.words.empty());
    for (const char c : got.words) check(c >= 0x20 && c < 0x7f);
    check(got.rcode >= 0 && got.rcode < 16);
    if (got.kind == Judgement::Kind::foreign) {
        check(!got.pass);
    } else {
        check(message.size() >= 12 && message[0] == 0x42 && message[1] == 0x42);
    }
    if (got.kind == Judgement::Kind::truncated) check(data[1] % 2 == 0);
    if (got.pass) check(asked.rcodes.accepts(got.rcode));
    return 0;
}
