// The short way through a reply: most are a few lines and a short body that come whole and at once.
//
// It knows those only, and leaves everything else to ReplyReader: what it takes, ReplyReader takes as well
// and understands the same (tests/unit/plugins/http_quick_test.cpp compares the two).
//
// Pure. Cost: one look at each byte of the head, no memory.
#pragma once
#include <cstddef>
#include <string_view>

namespace pulse_http {

struct QuickReply {
    int status = 0;       // 0: this one is for ReplyReader
    bool closes = false;  // the server said that it ends the connection
    size_t size = 0;      // bytes of the whole reply; what follows it is excess

    // `bytes`: all that came since the request, which was not HEAD. A body longer than `body_limit` is for
    // ReplyReader.
    static QuickReply read(std::string_view bytes, size_t body_limit);
};

}  // namespace pulse_http
