// The start: ask five questions, four at a time; print the answers in the order of the questions.
#include <pawl/engine.h>
#include <pawl/plain_stages.h>

#include <iostream>

int main() {
  auto ask = [](const pawl::Request& request, pawl::Outcome& outcome) { outcome.body = request.body + " Yes."; };
  auto print = [](const pawl::Task& task) { std::cout << task.outcome.body << '\n'; };
  auto engine = pawl::Engine::make(
      {},
      {.save = pawl::save_nothing(), .call = pawl::call_with(ask, {.threads = 4}), .commit = pawl::commit_with(print)},
      {});
  if (!engine) return 1;
  for (auto producer = (*engine)->producer(); const char* id : {"1", "2", "3", "4", "5"}) {
    pawl::Request request;
    request.stream = "questions";
    request.id = id;
    request.body = "Is " + request.id + " a number?";
    if (producer.submit(request) != pawl::Admission::accepted) return 1;
  }
  (*engine)->close();
  return (*engine)->status().committed == 5 ? 0 : 1;
}
