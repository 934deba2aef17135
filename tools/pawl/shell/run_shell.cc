#include "run_shell.h"

#include <cstdio>

#include "exit_code.h"
#include "session.h"
#include "shell.h"

namespace pawl::tool {

int run_shell(RunOptions options) {
  options.on_bad_line = "skip";  // a slip of the finger is said, and ends nothing
  auto shell = Shell::open();
  if (!shell) {
    std::fprintf(stderr, "pawl: %s\n", shell.error().context.c_str());
    return exit_code_of(shell.error());
  }
  return run_session(options, Mode::shell, shell->get());
}

}  // namespace pawl::tool
