// Declares its options wrongly, each in another way.
#include "pulse.h"

struct BadTables : Harmless {
    using Harmless::Harmless;
    static constexpr const char *name = "Bad_Name", *version = "", *summary = "two\nlines";
    static constexpr gorb_option args[] = {
        {"Port", GORB_INT, 0, nullptr, nullptr, "capitals"},
        {"low", GORB_INT, 0, "0", "1..9", "a default outside of its range"},
        {"low", GORB_INT, 0, nullptr, nullptr, "twice"},
        {"helpless", GORB_TEXT, 0, nullptr, nullptr, nullptr},
        {"both", GORB_TEXT, GORB_REQUIRED, "x", nullptr, "required, with a default"},
        {"odd", 99, 0, nullptr, nullptr, "an unknown type"},
        {"wide", GORB_INT, 0, nullptr, "1-9", "a range that is none"},
        {"interval", GORB_DURATION, 0, "1s", nullptr, "what every pulse has"},
        {"bytes", GORB_TEXT, 0, "\xff", nullptr, "a default that is no UTF-8"},
        {"doubled", GORB_JSON, 0, "{\"a\":1,\"a\":2}", nullptr, "a default with two members of one name"},
        {"choices", GORB_TEXT, 0, nullptr, "", "a range without a choice"},
        {"deep", GORB_JSON, 0, "{", nullptr, "a default that is no JSON, but [|"},
    };
};
GORB_PULSE(BadTables)
