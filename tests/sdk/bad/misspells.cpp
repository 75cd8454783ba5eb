// Reads an option under another name than its table has: without a word it would never be set.
#include "pulse.h"

struct Misspells : Harmless {
    static constexpr gorb_option args[] = {
        {"word", GORB_TEXT, 0, nullptr, nullptr, "what the server greets with"}};
    Misspells(const gorb::sdk::Host& host, const gorb::sdk::Target& target) : Harmless(host, target) {
        target.args().text("wrod");
    }
};
GORB_PULSE(Misspells)
