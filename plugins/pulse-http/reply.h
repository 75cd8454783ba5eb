// Reads the head of an HTTP reply as its bytes arrive, and judges it. Pure: bytes in, values out.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "expect.h"

namespace pulse_http {

constexpr size_t most_head = 16 * 1024;  // bytes of status line and headers of one reply
constexpr int most_interim = 16;         // replies 1xx before the final one

class ReplyReader {
  public:
    ReplyReader();
    ~ReplyReader();

    enum class State {
        more,  // the head is not complete
        done,  // status() and location() are there; the body does not matter
        bad,   // problem() says why this is no HTTP reply, or not one that we read to the end
    };
    // Returns how many bytes were consumed; the rest must come again, in front of what follows. In state done
    // or bad everything is consumed and nothing changes any more.
    size_t feed(std::string_view bytes);

    State state() const { return state_; }
    int status() const { return status_; }
    // Printable ASCII, cut where it is long; "" for none.
    const std::string& location() const { return location_; }
    const std::string& problem() const { return problem_; }
    // Did any byte come?
    bool begun() const { return begun_; }

  private:
    size_t bad(std::string problem, size_t size);

    struct Parser;
    std::unique_ptr<Parser> parser_;  // of the reply that is being read
    State state_ = State::more;
    int status_ = 0, interim_ = 0;
    bool begun_ = false;
    bool line_read_ = false;  // has the parser consumed the status line of the present reply?
    std::string location_, problem_;
};

struct Judgement {
    bool pass = false;
    std::string words;  // "status 503 (expected 200)"
};

// Redirects are not followed, and the words say where they lead.
Judgement judge(int status, std::string_view location, const Expectation& expected);

}  // namespace pulse_http
