/* Epochs (engine/src/epoch/epochs.h): admission words, retire counters of two parities, tickets of flushes, askings
 * answered by one leader at a time who never waits, and sleepers on the turn word, some of whom leave at a deadline.
 *
 * Two producers that submit, flush and submit again, one of them patient, the other one hurried: its flush may leave
 * whenever it looks. A patient close, and threads that retire. A sleeper is treated as by futex(2): it falls asleep if
 * the word is as it expects, until it is woken.
 *
 * Numbers that are only compared are modelled by how they compare, which keeps the search small: a ticket by whether it
 * is taken, covered by a seal or answered; the turn, by who has seen the present one; the askings, by whether one has
 * come since the leader looked.
 *
 * Checked: a flush that says true has seen everything retire that had been admitted, by anybody, before it was called
 * (of one task, any: what holds for each holds for all; and of the hurried flush, which may do all that a patient one
 * does); once a close has said true nothing is admitted and all that ever was has retired; no patient one waits for
 * ever (an end state that is not valid); nobody leads at the end.
 *
 * Known bad variants, each of which must fail:
 *   BUG_TWO_STEP       a submit reads the epoch and counts itself in two steps
 *   BUG_ONE_PARITY     one retire counter for all epochs
 *   BUG_SEAL_EARLY     the leader seals the next epoch before the one before is empty
 *   BUG_ASKING_LOST    the leader steps down without looking whether somebody has asked meanwhile
 *   BUG_DONE_FIRST     a flush looks at `done` first and at the turn afterwards, then sleeps
 *   BUG_MARK_FIRST     a flush marks the turn word without comparing it, and sleeps on what it is then
 *   BUG_TAKES_BACK     a flush that leaves takes back the epoch that is sealed
 *   BUG_OWNER_ENDS     only the flush that sealed an epoch ends it, and leaves nobody to do so when it leaves
 *   BUG_CLOSING_FIRST  the leader looks at `closing` first and at the tickets afterwards
 */
#define WORDS 2 /* a producer each */
#ifndef WORKERS
#define WORKERS 1 /* threads that retire; 2 can be searched too, but take more memory than a test should */
#endif
#define WAITERS 3
#define HURRIED 1 /* of the waiters: 0 is the patient flush, 2 the close */
#define SEAL 50

bool word_closed[WORDS];
bit word_parity[WORDS];
byte word_count[WORDS];
byte retired[2];
byte ticket[WAITERS];        /* NONE, TAKEN, COVERED (upto has it) or ANSWERED (done has it) */
byte asked;                  /* 0: nobody leads; 1: somebody does, and has seen all askings; 2: not all of them */
bool saw_turn[WAITERS];      /* the turn word is as this one read it */
bool sleepy;                 /* the lowest bit of that word: somebody sleeps */
bool closing;

#define NONE 0
#define TAKEN 1
#define COVERED 2
#define ANSWERED 3
#define ANY_TAKEN (ticket[0] == TAKEN || ticket[1] == TAKEN || ticket[2] == TAKEN)

bool sealed; /* leader only, as the next two lines */
bit parity, epoch;
#ifdef BUG_OWNER_ENDS
byte owner;
#endif

bool asleep[WAITERS]; /* the kernel's queue on the turn word */
byte flying[2];       /* admitted and not yet retired, by parity of their epoch */
byte watched = 2;     /* ghost, the watched task: UNBORN, the parity under which it flies, or GONE */
bool close_said;      /* ghost: a close has said true */
byte over;            /* waiters that have ended */

#define UNBORN 2
#define GONE 3

#ifdef BUG_ONE_PARITY
#define COUNTER(p) 0
#else
#define COUNTER(p) (p)
#endif

inline cover_tickets() {
  d_step {
    if :: ticket[0] == TAKEN -> ticket[0] = COVERED :: else fi;
    if :: ticket[1] == TAKEN -> ticket[1] = COVERED :: else fi;
    if :: ticket[2] == TAKEN -> ticket[2] = COVERED :: else fi
  }
}
inline answer_tickets() {
  d_step {
    if :: ticket[0] == COVERED -> ticket[0] = ANSWERED :: else fi;
    if :: ticket[1] == COVERED -> ticket[1] = ANSWERED :: else fi;
    if :: ticket[2] == COVERED -> ticket[2] = ANSWERED :: else fi
  }
}
inline next_turn() {
  d_step { saw_turn[0] = false; saw_turn[1] = false; saw_turn[2] = false; wake = wake || sleepy; sleepy = false }
}
inline wake_all() { d_step { asleep[0] = false; asleep[1] = false; asleep[2] = false } }

/* Leader only. Swaps the words for those of the next epoch and puts the seal on the counter of the old one. */
inline seal() {
#ifdef BUG_CLOSING_FIRST
  atomic { cover_tickets(); parity = epoch; epoch = 1 - epoch }
#else
  atomic { shut = closing; parity = epoch; epoch = 1 - epoch }
#endif
  do
  :: d_step {
       w < WORDS ->
       if :: !word_closed[w] -> sum = sum + word_count[w] :: else fi;
       word_parity[w] = epoch;
       word_count[w] = 0;
       word_closed[w] = shut;
       w++
     }
  :: atomic {
       w == WORDS ->
       retired[COUNTER(parity)] = retired[COUNTER(parity)] + SEAL - sum;
       sealed = true;
       sum = 0; w = 0; shut = false;
#ifdef BUG_OWNER_ENDS
       owner = me;
#endif
       break
     }
  od
}

/* Leader only. Ends what can be ended and seals what is asked for; does not wait. */
inline lead() {
  do
  :: atomic { !sealed && !ANY_TAKEN -> break }
  :: atomic {
       !sealed && ANY_TAKEN ->
#ifdef BUG_CLOSING_FIRST
       shut = closing
#else
       cover_tickets()
#endif
     }
     seal()
#ifdef BUG_OWNER_ENDS
  :: atomic { sealed && owner != me -> break }
#endif
#ifdef BUG_SEAL_EARLY
  :: atomic { sealed && retired[COUNTER(parity)] != SEAL && ANY_TAKEN -> cover_tickets() }
     seal()
  :: atomic { sealed && retired[COUNTER(parity)] != SEAL && !ANY_TAKEN -> break }
#else
  :: atomic { sealed && retired[COUNTER(parity)] != SEAL -> break }
#endif
  :: atomic { /* one step: nobody else touches a counter that has met the seal, see Worker */
       sealed && retired[COUNTER(parity)] == SEAL ->
       retired[COUNTER(parity)] = 0; sealed = false;
       answer_tickets()
     }
     next_turn()
  od
}

/* One asking: answered by the caller, or by whoever leads already. */
inline ask() {
  if
#ifdef BUG_ASKING_LOST
  :: atomic { asked != 0 -> skip }
#else
  :: atomic { asked != 0 -> asked = 2 }
#endif
  :: atomic { asked == 0 -> asked = 1 }
     do
     :: lead();
        atomic {
          if
          :: asked == 1 -> asked = 0; break
          :: else -> asked = 1
          fi
        }
     od;
     if :: wake -> wake_all() :: else fi;
     wake = false
  fi
}

/* `said`: what flush() returns. */
inline flush() {
  atomic {
    if :: me == HURRIED && watched < UNBORN -> need = true :: else fi;
    ticket[me] = TAKEN
  }
  ask();
  do
  :: /* woken, or in time-out, or not asleep in the first place */
#ifdef BUG_DONE_FIRST
     atomic {
       !asleep[me] || me == HURRIED ->
       asleep[me] = false;
       if
       :: ticket[me] == ANSWERED -> said = true; break
       :: ticket[me] != ANSWERED
       :: ticket[me] != ANSWERED && me == HURRIED -> break
       fi
     }
     saw_turn[me] = true;
#else
     atomic { !asleep[me] || me == HURRIED -> asleep[me] = false; saw_turn[me] = true }
     atomic {
       if
       :: ticket[me] == ANSWERED -> said = true; break
       :: ticket[me] != ANSWERED
       :: ticket[me] != ANSWERED && me == HURRIED ->
#ifdef BUG_TAKES_BACK
          sealed = false;
#endif
          break
       fi
     }
#endif
#ifdef BUG_OWNER_ENDS
     if :: owner == me && sealed -> ask(); if :: ticket[me] == ANSWERED -> said = true; break :: else fi :: else fi;
#endif
#ifdef BUG_MARK_FIRST
     atomic { sleepy = true; saw_turn[me] = true }
#else
     atomic { if :: saw_turn[me] -> sleepy = true :: else fi }
#endif
     atomic {
       if
       :: saw_turn[me] && sleepy -> asleep[me] = true
       :: else
       fi;
       saw_turn[me] = false
     }
  od;
  atomic {
    assert(!(said && need && watched < UNBORN)); need = false; saw_turn[me] = false
  }
}

inline submit() {
#ifdef BUG_TWO_STEP
  d_step { refused = word_closed[me]; into = word_parity[me] }
  atomic {
#else
  atomic {
    refused = word_closed[me]; into = word_parity[me];
#endif
    word_count[me]++;
    if
    :: !refused ->
       assert(!close_said);
       flying[into]++;
       if
       :: watched == UNBORN -> watched = into
       :: true
       fi
    :: else
    fi;
    refused = false; into = 0
  }
}

proctype Producer(byte me) {
  byte sum, w, into;
  bool shut, wake, said, need, refused;
  submit();
  flush();
  submit();
  over++
}

proctype Closer(byte me) {
  byte sum, w;
  bool shut, wake, said, need;
  closing = true;
  flush();
  atomic {
    if
    :: said -> assert(flying[0] + flying[1] == 0); close_said = true
    :: else
    fi;
    over++
  }
}

/* Retires what flies, in any order. */
proctype Worker(byte me) {
  byte sum, w, into;
  bool shut, wake, last;
  do
  :: atomic {
       if
       :: flying[0] != 0 -> into = 0
       :: flying[1] != 0 -> into = 1
       fi;
       if
       :: watched == into -> watched = GONE
       :: watched != into || flying[into] > 1
       fi;
       flying[into]--;
       assert(retired[COUNTER(into)] != SEAL);
       retired[COUNTER(into)] = retired[COUNTER(into)] + 1;
       last = (retired[COUNTER(into)] == SEAL);
       into = 0
     }
     if
     :: last ->
        last = false;
#ifdef BUG_OWNER_ENDS
        next_turn();
        if :: wake -> wake_all(); wake = false :: else fi
#else
        ask()
#endif
     :: else
     fi
  :: atomic { over == WAITERS && flying[0] + flying[1] == 0 -> break }
  od
}

init {
  byte i;
  atomic {
    run Producer(0); run Producer(1); run Closer(2);
    i = WAITERS;
    do :: i < WAITERS + WORKERS -> run Worker(i); i++ :: else -> break od
  }
  atomic { _nr_pr == 1 -> assert(asked == 0) }
}
