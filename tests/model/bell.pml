/* Doorbell (engine/src/queue/doorbell.h): two sleepers and two bringers of work, with a store buffer between a
 * bringer's publication and what others see (the one reordering that x86 does and that the fence is there for).
 *
 * Checked: no sleeper sleeps for ever while there is work; all work is done (an end state that is not valid).
 *
 * Known bad variants, each of which must fail:
 *   BUG_NO_FENCE  bringers look for a sleeper before their work is visible
 *   BUG_ONE_WORD  sleepers wait on the flag itself: a second sleeper that raises it again hides the ring from the first
 *   BUG_NO_LOOK   sleepers do not look for work again after they have announced themselves
 */
#define BRINGERS 2
#define SLEEPERS 2
#define ITEMS 2 /* per bringer */
#define NEED 2  /* per sleeper, which goes away when it has them: BRINGERS * ITEMS = SLEEPERS * NEED */

byte work;              /* visible items */
byte buffered[BRINGERS]; /* items in the bringer's store buffer */
bool flag;
byte rings;             /* modulo 256: never wraps here */
bool asleep[SLEEPERS];  /* in the futex */

inline drain(b) { work = work + buffered[b]; buffered[b] = 0 }

/* The hardware empties store buffers whenever it likes, or only when it must. */
active proctype Memory() {
end:
  do
  :: atomic { buffered[0] > 0 -> drain(0) }
  :: atomic { buffered[1] > 0 -> drain(1) }
  od
}

inline wake() { asleep[0] = false; asleep[1] = false }

proctype Bringer(byte me) {
  byte k;
  bool took;
  for (k : 1 .. ITEMS) {
    buffered[me]++;
#ifndef BUG_NO_FENCE
    atomic { drain(me) }
#endif
    if
    :: flag ->
      atomic { drain(me); took = flag; flag = false }
      if
      :: took ->
#ifndef BUG_ONE_WORD
        rings++;
#endif
        wake()
      :: else
      fi
    :: else
    fi
  }
}

proctype Sleeper(byte me) {
  byte heard, have;
  bool got;
  do
  :: have == NEED -> break
  :: else ->
    atomic { got = work > 0; if :: got -> work--; have++ :: else fi }
    if
    :: got
    :: else ->
      heard = rings;
      flag = true;
#ifdef BUG_NO_LOOK
      if
      :: true ->
#else
      if
      :: work > 0
      :: else ->
#endif
#ifdef BUG_ONE_WORD
        atomic { asleep[me] = flag }
#else
        atomic { asleep[me] = (rings == heard) }
#endif
        !asleep[me]
      fi
    fi
  od
}

init {
  atomic { run Bringer(0); run Bringer(1); run Sleeper(0); run Sleeper(1) }
}
