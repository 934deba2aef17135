/* Turns (engine/src/order/stream_turns.h): one stream, two producers, one arriving thread, task slots that are used
 * again. The version in the stream's word does not matter here: streams.pml is about that.
 *
 * Checked: tasks are visited in the order in which they entered; each slot is released by its holders exactly as often
 * as it is held and never looked at after that; at the end the stream is idle and all slots are free.
 *
 * Known bad variants, each of which must fail:
 *   BUG_BLIND_IDLE   arrive() makes the stream idle with a plain store where it needs a compare-and-swap
 *   BUG_NO_HOLD      arrive() leaves a link to a successor that still has to look at it, without one more holder
 *   BUG_TWO_STEP     a producer reads its predecessor's mark and then links itself where it needs one exchange
 *   BUG_NO_GATE      a producer that finds its predecessor gone does not take over its turn
 *   BUG_LATE_GATE    a producer resets its gate after it has linked itself
 */
#define SLOTS 3
#define EACH 2 /* tasks per producer */
#define NONE 9
#define GONE 8

byte tail = NONE;
byte next[SLOTS];
bool gate[SLOTS];
byte holders[SLOTS];
bool waiting[SLOTS], retiring[SLOTS];
byte place[SLOTS]; /* ghost: the how-manieth to enter */
byte entered, visited, retired;

inline release(s) {
  atomic { assert(holders[s] > 0); holders[s]-- }
}

proctype Producer() {
  byte k, me, before, seen;
  for (k : 1 .. EACH) {
    atomic {
      if
      :: holders[0] == 0 -> me = 0
      :: holders[1] == 0 -> me = 1
      :: holders[2] == 0 -> me = 2
      fi;
      holders[me] = 1;
      next[me] = NONE
    }
#ifndef BUG_LATE_GATE
    gate[me] = false;
#endif
    atomic { before = tail; tail = me; place[me] = entered; entered++ }
    if
    :: before == NONE -> gate[me] = true
    :: else ->
#ifdef BUG_TWO_STEP
      seen = next[before];
      next[before] = me;
#else
      atomic { assert(holders[before] > 0); seen = next[before]; next[before] = me }
#endif
#ifdef BUG_LATE_GATE
      gate[me] = false;
#endif
      if
      :: seen == GONE ->
#ifndef BUG_NO_GATE
        gate[me] = true;
#endif
        release(before)
      :: else -> assert(seen == NONE)
      fi
    fi;
    waiting[me] = true
  }
}

inline visit(s) {
  atomic {
    assert(holders[s] > 0 && place[s] == visited);
    visited++;
    retiring[s] = true
  }
}

/* The serial node of the graph. */
proctype Arriver() {
  byte now, after;
  bool open;
  do
  :: atomic {
       if
       :: waiting[0] -> waiting[0] = false; now = 0
       :: waiting[1] -> waiting[1] = false; now = 1
       :: waiting[2] -> waiting[2] = false; now = 2
       :: visited == 2 * EACH -> break
       fi
     }
     open = gate[now];
     gate[now] = true;
     do
     :: !open -> break /* its turn has not come; whoever brings it carries on */
     :: else ->
       assert(holders[now] > 0);
       after = next[now];
       if
       :: after == NONE ->
#ifdef BUG_BLIND_IDLE
         if :: tail == now -> tail = NONE; after = GONE :: else fi;
#else
         atomic { if :: tail == now -> tail = NONE; after = GONE :: else fi }
#endif
         if
         :: after == GONE -> visit(now); break
         :: else
         fi;
#ifndef BUG_NO_HOLD
         holders[now]++;
#endif
         atomic { after = next[now]; next[now] = GONE }
         if
         :: after == NONE -> visit(now); break
         :: else
         fi;
#ifndef BUG_NO_HOLD
         release(now)
#endif
       :: else
       fi;
       visit(now);
       now = after;
       assert(holders[now] > 0);
       open = gate[now];
       gate[now] = true
     od
  od
}

/* The way through the pipeline ends at any time after the visit. */
inline retire(s) { atomic { retiring[s] -> retiring[s] = false; retired++ } release(s) }
proctype Retirer() {
  do
  :: retire(0)
  :: retire(1)
  :: retire(2)
  :: retired == 2 * EACH -> break
  od
}

init {
  atomic { run Producer(); run Producer(); run Arriver(); run Retirer() }
  _nr_pr == 1;
  assert(tail == NONE && entered == 2 * EACH && visited == entered);
  assert(holders[0] + holders[1] + holders[2] == 0)
}
