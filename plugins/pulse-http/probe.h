// The check of one target: a connection that is kept from one check to the next, or made for each.
//
// A run goes connecting -> asking -> answered. What becomes of the connection then is no part of the run:
//   draining   the rest of a body is read, so that the connection can be kept
//   idle       kept; when the server closes it, a check is asked for at once, which is never a verdict
//   lingering  the server said that it closes, or was told to, and does so first
// Draining and lingering end with the run's deadline, or with the next run.
//
// Threads: the loop's. Cost: a check on a kept connection allocates nothing; a probe has less than 200 bytes.
#pragma once
#include <gorb/plugin.hpp>
#include <memory>
#include <string_view>

#include "idle.h"
#include "instance.h"
#include "match/share.h"

namespace pulse_http {

class Probe {
  public:
    Probe(Instance& instance, const gorb::sdk::Target& target);
    ~Probe();
    Probe(const Probe&) = delete;
    Probe& operator=(const Probe&) = delete;

    void start(const gorb::sdk::Run& run);
    void cancel() noexcept;
    void expire();

  private:
    enum class Phase : uint8_t { none, connecting, asking, draining, lingering, idle };

    static void on_opened(void* arg, gorb_conn* conn) noexcept;
    static size_t on_received(void* arg, gorb_conn* conn, const uint8_t* data, size_t size) noexcept;
    static void on_closed(void* arg, gorb_conn* conn, int32_t why) noexcept;
    static void on_timer(void* arg) noexcept;
    template <class Fn>
    void guarded(const char* where, Fn&& fn) noexcept;

    void connect();
    void ask_anew();
    void ask();
    void opened();
    size_t received(std::string_view bytes);
    bool read_quickly(std::string_view bytes);
    bool begun() const { return reader_ && reader_->begun(); }  // has a byte of the reply come?
    void read_on();
    void closed(int32_t why, std::string_view reason);
    void lost_while_idle();
    std::string_view request();

    void pass(const std::string& words, const pulse_match::Share& share);
    void fail(std::string words, int32_t code);
    void settle();
    void linger() noexcept;
    void rest() noexcept;
    void answer(const gorb::sdk::Result& result) noexcept;
    void clear() noexcept;
    void arm() noexcept;
    void disarm() noexcept;
    void forget_kept() noexcept;
    void give_reader() noexcept;

    Instance& instance_;
    Shared& shared_;
    gorb_conn* conn_ = nullptr;
    std::unique_ptr<ReplyReader>
        reader_;            // of a reply that is none for QuickReply, while asking and draining
    gorb::sdk::Run run_;    // the newest
    gorb_timer timer_ = 0;  // at the run's deadline, for what goes on after its answer
    uint64_t idle_since_ = 0;
    int64_t not_after_ = 0;  // of the server's certificate, Unix seconds
    gorb_addr peer_;
    IdleHabit habit_;
    uint32_t turn_;          // the next check's, for fresh-every
    uint32_t lingered_ = 0;  // bytes that nobody wanted
    Phase phase_ = Phase::none;
    bool open_ = false;                      // the run is not answered
    bool reused_ = false, retried_ = false;  // of the run: began on a kept connection; had a second one
    bool kept_ = false;                      // has a place among those that Instance::keep() counts
};

}  // namespace pulse_http
