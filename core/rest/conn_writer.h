// Answers as bytes: what waits to be sent on a connection.
#pragma once
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <string>

#include "rest/http.h"

namespace gorb::rest {

// How the request shapes the form of its answer.
struct AnswerForm {
    bool close = false;      // say that the connection ends with this answer
    bool http10 = false;     // the client speaks HTTP/1.0, so keeping the connection has to be said
    bool head_only = false;  // the method was HEAD: the head of the answer, without its body
};

// Heads and small bodies are collected in one buffer, so pipelined answers go out together; a large body
// stays the string that it is. Threads: one.
class Output {
  public:
    void add(Response&& response, AnswerForm form);
    void add_continue();  // the interim answer to Expect: 100-continue

    size_t size() const { return text_.size() + body_.size() - sent_; }
    bool empty() const { return size() == 0; }
    size_t held() const { return text_.size() + body_.size(); }  // bytes, until all of them have been sent
    // May more be added? Not behind a large body, and not without end.
    bool room() const { return body_.empty() && text_.size() < max_text; }

    // Sends what the socket, which does not block, takes at once. How many bytes; -1: as sendmsg(2) says it.
    ssize_t send(int fd);
    // Its two halves: what to send next, in how many parts, and that so much was sent.
    int parts(std::array<iovec, 2>& out) const;
    void sent(size_t bytes);

    static constexpr size_t small_body = 16 << 10;  // bytes; larger ones are not copied

  private:
    static constexpr size_t max_text = 64 << 10;
    std::string text_, body_;  // sent in this order
    size_t sent_ = 0;          // of both together
};

}  // namespace gorb::rest
