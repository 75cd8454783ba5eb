// Reads one HTTP reply as its bytes arrive. Pure: bytes in, values out.
//
// Threads: one at a time. Cost: memory is bounded whatever a server sends (the head by most_head, what is
// kept of a body by Wanted::body_limit), and kept from one reply to the next: reading an ordinary reply
// allocates nothing.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headers.h"

namespace pulse_http {

constexpr size_t most_head = 16 * 1024;  // bytes of status line and headers of one reply
constexpr int most_interim = 16;         // replies 1xx before the final one

class ReplyReader {
  public:
    // What the check has to know of the reply.
    struct Wanted {
        bool to_head = false;                  // the request was HEAD: no body follows
        const HeaderRules* headers = nullptr;  // must live as long as the reading; nullptr: none
        bool keep_body = false;                // body() is wanted
        size_t body_limit = 64 * 1024;         // bytes of the body that are read, and kept
    };
    enum class State {
        head,  // not complete
        body,  // status(), location() and seen() are there; the body is not complete
        done,  // body() too, as far as it is wanted
        bad,   // problem() says why this is no HTTP reply, or none that we read to the end
    };

    ReplyReader();
    ~ReplyReader();

    // Forgets the reply before.
    void begin(const Wanted& wanted);
    // Returns how many bytes were consumed; the rest must come again, in front of what follows. In state done
    // or bad everything is consumed and nothing changes any more but reusable().
    size_t feed(std::string_view bytes);
    // The stream has ended: a body that lasts until then is complete.
    void end();

    State state() const { return state_; }
    bool head_complete() const { return status_ != 0; }
    int status() const { return status_; }
    // Of a 3xx; printable ASCII, cut where it is long; "" for none.
    const std::string& location() const { return location_; }
    // One for each rule of Wanted::headers.
    const std::vector<HeaderRules::Seen>& seen() const { return seen_; }
    // Without its chunks' frames; not more than the limit.
    const std::string& body() const { return body_; }
    // Was there more of it than the limit, or is more announced that nobody wants?
    bool cut() const { return cut_; }
    const std::string& problem() const { return problem_; }
    // Did any byte come?
    bool begun() const { return begun_; }
    // Can another request follow on this connection? In state done only.
    bool reusable() const;
    // Did the server say that it ends the connection (or must it, to end this reply)? Once head_complete().
    bool server_closes() const;

  private:
    struct Parser;
    size_t bad(std::string problem, size_t size);
    bool read_status_line(std::string_view line);
    bool read_fields(std::string_view lines, bool bare);
    void head_done();
    void next_parser();

    struct Slot;  // room for a Parser, so that a new one needs no memory
    std::unique_ptr<Slot> slot_;
    Wanted wanted_;
    State state_ = State::head;
    int status_ = 0, interim_ = 0;
    size_t body_size_ = 0;
    bool begun_ = false, cut_ = false, excess_ = false;
    bool starved_ = false;    // does the parser wait for more of a body in chunks?
    bool line_read_ = false;  // has the parser consumed the status line of the present reply?
    bool closes_ = false;     // is the connection of no use, whatever the parser knows?
    std::string location_, body_, problem_;
    std::vector<HeaderRules::Seen> seen_;
};

}  // namespace pulse_http
