// The database as a queue of jobs: what waits together becomes one transaction.
//
// Before and after each transaction the files are looked at: SQLite would go on writing into a file that
// nobody finds again. Where it can not be said what they are (no descriptor, no memory), nothing is begun,
// and what was committed stays so: only a file that is known to be lost makes that refused.
#pragma once
#include <atomic>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "store/database.h"
#include "store/files.h"
#include "store/rows.h"
#include "store/schema.h"
#include "store/sqlite.h"

namespace gorb::store {

class Durable final : public Database {
  public:
    // `rows` are prepared on `file`.
    Durable(Paths paths, OpenOptions options, const Schema& schema, Lock lock, Connection file,
            RowWriter rows);
    ~Durable() override;

    base::Result<Loaded> load() override;
    bool work() override;
    void write(Write write, Done done) override;
    void check_file(Done done) override;
    bool lost() const override { return lost_; }
    void rewrite(Loaded all, Done done) override;
    Status status() const override;

    // Of one transaction.
    static constexpr size_t most_writes = 4096;
    static constexpr size_t most_bytes = 8 << 20;

  private:
    struct Job {
        enum class Kind : uint8_t { write, rewrite, check };
        Kind kind{};
        Write write;
        std::unique_ptr<Loaded> all;  // of a rewrite
        Done done;
    };
    // What each job of a transaction is answered.
    using Answers = std::vector<base::Status>;

    void submit(Job job);
    bool queued();
    bool work_some();
    bool fetch();
    void write_some();
    // Does jobs from the front of `work_` and says how many: one for each answer. The answers are good only
    // if it gives no error; else that one is everybody's.
    base::Status transaction(Answers& answers);
    int apply_one(const Write& write, bool alone, base::Status& answer);
    base::Error refused(int code, const std::string& doing);
    void roll_back();
    void overwrite_refused();
    base::Status make_anew(Loaded& all);
    void checkpoint();

    // ---- whether the files are what they were
    void remember();
    // Why not; "" if they are, which is remembered. An error where that can not be said.
    base::Result<std::string> changed();
    // Whether what is in a file that became shorter is whole: another program may have packed it.
    // `what` if not; `size` is the database's.
    base::Result<std::string> shortened(const std::string& what, int64_t size);
    // They are, or why not: unavailable once lost() is set, else an error of looking.
    base::Status check_files();
    void lose(std::string why);

    const Paths paths_;
    const OpenOptions options_;
    const Schema schema_;

    std::mutex working_;  // held by work(), answers included
    std::deque<Job> work_;

    // Of work(), but for its answers, and of load() until there is work.
    std::mutex io_;
    Lock lock_;
    Connection file_;
    RowWriter rows_;
    Statement begin_, commit_, savepoint_, release_, back_;
    int wal_pages_ = 0;
    bool accepted_ = false;   // load() has read all of it
    uint64_t revision_ = 0;   // the highest there was
    bool uncertain_ = false;  // a refused transaction may stand at the end of the WAL
    Look database_, wal_;     // as they were found last
    bool committed_ = false;  // something since then
    std::string why_lost_;

    std::atomic<bool> lost_{false};
    base::Guarded<Status> status_;

    std::mutex queue_lock_;
    std::deque<Job> queue_;
};

}  // namespace gorb::store
