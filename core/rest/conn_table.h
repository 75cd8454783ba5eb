// All connections of the server: their sockets on the loop, their deadlines, and who has to go when there are
// too many.
//
// Every connection stands in one line of those that wait for the same thing. A line has one deadline for all,
// so its first is always the next to expire: one timer serves thousands of connections, and a request moves a
// connection to the end of a line instead of setting a timer.
//
// Threads: the loop's, except where marked [any].
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "io/loop.h"
#include "rest/conn_mailbox.h"
#include "rest/conn_session.h"
#include "rest/http.h"
#include "rest/limits.h"

namespace gorb::rest {

class ConnTable final : private AnswerTaker {
  public:
    ConnTable(io::Loop& loop, Limits limits, Handler handler);
    ~ConnTable();
    ConnTable(const ConnTable&) = delete;
    ConnTable& operator=(const ConnTable&) = delete;

    // Takes the connected, non-blocking socket. Over the limit another goes (make_room()), or this one is
    // told to.
    void add(int fd, std::string peer);
    // Closes the connection that has been idle for longest; where none is, the one whose client has for
    // longest sent no more than a request that has no answer yet: most such clients have given up, and while
    // a disk hangs their number only grows. false: there is neither.
    bool make_room();
    // Lets requests under way be answered for up to `grace`, calls `done` when there are none left.
    void finish(std::chrono::milliseconds grace, std::function<void()> done);
    void close_all();                                                      // when the loop runs no more
    size_t size() const { return size_.load(std::memory_order_relaxed); }  // [any]

  private:
    // What a connection waits for. `abandoned` is `handling` after the client has finished sending, by
    // closing its end above all.
    enum Line : uint8_t { idle, reading, handling, abandoned, writing, lingering, lines };
    struct Conn;
    using Queue = std::list<Conn*>;

    void dispatch(Conn& conn, const std::shared_ptr<const Request>& request);
    void answered(const Ticket& ticket, Response response) override;
    void sent(const Ticket& ticket, int status, Output rest) override;
    void give_up();
    Conn* answering(const Ticket& ticket, int status);

    void on_events(Conn& conn, uint32_t events);
    void on_readable(Conn& conn);
    void drain(Conn& conn);
    void settle(Conn& conn);
    bool flush(Conn& conn);
    bool watch(Conn& conn, uint32_t events);
    void turn_away(Conn& conn);
    void place(Conn& conn, Line line, uint64_t epoch);
    void cut_off_silent();
    void cut_off_slow();
    void end(Conn& conn);
    void linger(Conn& conn);
    void close(Conn& conn);

    std::chrono::nanoseconds patience(Line line) const;
    void arm(uint64_t when);
    void sweep();
    void expire(Conn& conn);

    io::Loop& loop_;
    const Limits limits_;
    const Handler handler_;
    const std::shared_ptr<Mailbox> mailbox_;
    std::vector<std::unique_ptr<Conn>> conns_;  // by descriptor
    std::array<Queue, lines> queues_;
    std::vector<char> scratch_;  // what recv() writes to
    io::TimerId timer_ = 0;
    uint64_t timer_when_ = 0;
    uint64_t last_serial_ = 0;
    size_t held_ = 0;  // bytes of answers that have not been taken
    bool finishing_ = false;
    std::function<void()> finished_;  // called once, when finishing is done
    std::atomic<size_t> size_{0};
};

}  // namespace gorb::rest
