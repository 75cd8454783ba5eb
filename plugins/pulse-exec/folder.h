// The folder whose programs may be run, and what has to be true of it and of a program in it.
//
// Who could change the folder or a file in it could run what they like as gorbd. So both must belong to root
// or to the user gorbd runs as, and nobody else may write to them. It is looked at through one descriptor of
// the folder, and the program is started through the same one, by its plain name: whatever a path leads to
// meanwhile makes no difference, and within the folder only those who are trusted can change anything.
//
// Errors: Error with a sentence that says what would be right.
#pragma once
#include <string>
#include <string_view>

#include "owned.h"

namespace pulse_exec {

// A plain file name: not empty, no '/', not "." or "..", no NUL, at most 255 bytes.
void check_name(std::string_view program);

class Folder {
  public:
    // `path` must be absolute; it need not exist yet.
    explicit Folder(std::string path);

    // Looks at the folder and at the program, and gives the folder's descriptor (O_PATH).
    Descriptor open(const std::string& program) const;

    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

}  // namespace pulse_exec
