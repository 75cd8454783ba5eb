// The bytes of a connection in, whole requests out, one at a time.
//
// The head is collected to its end and parsed in one go by Boost.Beast's incremental parser, so what is made
// of it does not depend on how it was cut into packets; the body goes through the same parser as it comes.
// What a gateway in front of us could read in another way than we do is refused, never guessed at: both
// Content-Length and Transfer-Encoding, Content-Lengths that differ, line ends without CR, space before a
// colon.
//
// Threads: one. Cost: the head of a request that comes in one piece is not copied, and no table of headers is
// built.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "rest/http.h"
#include "rest/limits.h"

namespace gorb::rest {

class RequestReader {
  public:
    enum class Step : uint8_t {
        more,     // everything was consumed, the request is not whole yet
        proceed,  // the head is good and the client waits for "100 Continue" before it sends the body
        whole,    // request() has it
        refused   // status() and why() say why; nothing may be read after it
    };

    // `limits` must outlive the reader.
    explicit RequestReader(const Limits& limits);
    ~RequestReader();

    // Consumes from the front of `in`, no further than to the end of one request.
    Step take(std::string_view& in);
    // Nothing more is taken; what has come of a request is let go.
    void abandon();
    // Has a request begun that is not whole?
    bool started() const;
    // How many times Limits::body_bytes its body has come so far: a large body that goes on coming moves on.
    size_t progress() const;

    // After `whole`, until the next take().
    std::shared_ptr<Request> request();
    bool keep_alive() const;  // as the client asked
    bool http10() const;
    bool head_only() const;  // the method was HEAD; also after `refused`

    // After `refused`.
    int status() const;
    const std::string& why() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::rest
