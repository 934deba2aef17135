/* Streams (engine/src/order/streams.h): one bucket, two producers that look up, make and enter streams of two keys, one
 * thread that gives turns, takes idle streams back, unlinks and frees them. It begins with an idle stream of each. A
 * stream's word is its version and how many tasks are in it: who is behind whom is turn.pml's matter. The bucket's tag
 * is kept as what it is for: for each producer, whether it has changed since the look at the head. A look at a stream's
 * key and link and the second look at the head are one step: the second look sees what happens between them anyway.
 *
 * Checked: nobody enters a stream that is not in use or that is of another key; no key has two streams in use; the
 * tasks of a key are visited in the order in which they entered; a broken stream is not forgotten; at the end the
 * bucket holds each stream that is in use, and the others are free.
 *
 * Known bad variants, each of which must fail:
 *   BUG_NO_TAG       an unlink does not change the bucket's tag
 *   BUG_NO_LOOK      a walk does not look at the head again after it has read a stream
 *   BUG_NO_VERSION   an enter does not mind the version
 *   BUG_NO_RESCAN    an insert goes before whatever the head is now
 *   BUG_EARLY_FREE   a stream is freed before it is unlinked
 *   BUG_KILL_BROKEN  a broken stream is taken back
 *   BUG_KILL_BUSY    a stream is seen to be idle and then taken out of use where it needs one compare-and-swap
 */
#define STREAMS 4 /* 1 … 3; 0 is none */
#define KEYS 2
#define FIRST_EACH 2  /* tasks of the first producer */
#define SECOND_EACH 1 /* and of the second */
#define ALL (FIRST_EACH + SECOND_EACH)
#define IN_USE(version) ((version) % 2 == 0)
#ifdef BUG_KILL_BROKEN
#define MAY_GO(s) true
#else
#define MAY_GO(s) !broken[s]
#endif

byte head;
bool tag_changed[2]; /* since this producer has looked at the head */
byte free_head;
byte version[STREAMS] = 1, key[STREAMS], next[STREAMS], inside[STREAMS];
bool broken[STREAMS];
chan tasks_1 = [4] of { byte };
chan tasks_2 = [4] of { byte };
chan tasks_3 = [4] of { byte };

byte entered[KEYS], visited[KEYS]; /* ghost */
byte in_use[KEYS];                 /* ghost: streams in use */
bool linked[STREAMS];              /* ghost: has been put in the bucket and not been taken out of use */
bool broken_key[KEYS];             /* ghost */
bool may_break = true;
byte done;

/* A task of key k enters s: its place among those of its key goes into the stream's queue. */
inline enter(s, k) {
  assert(IN_USE(version[s]) && key[s] == k);
  inside[s]++;
  if
  :: s == 1 -> tasks_1!entered[k]
  :: s == 2 -> tasks_2!entered[k]
  :: s == 3 -> tasks_3!entered[k]
  fi;
  entered[k]++
}

inline try_enter(s, v) {
  atomic {
#ifdef BUG_NO_VERSION
    in = true;
#else
    in = (version[s] == v);
#endif
    if :: in -> enter(s, mine) :: else fi
  }
}

inline change_tag() { tag_changed[0] = true; tag_changed[1] = true }

inline give_free(s) { atomic { next[s] = free_head; free_head = s } }

inline find_or_make() {
  made = 0;
  do
  :: atomic { h = head; tag_changed[me] = false; s = h; found = false; changed = false; v = 0 }
     do
     :: s == 0 || found || changed -> break
     :: else ->
       v = version[s];
       atomic {
         found = (IN_USE(v) && key[s] == mine);
#ifndef BUG_NO_LOOK
         changed = (head != h || tag_changed[me]);
#endif
         if :: !changed && !found -> s = next[s] :: else fi
       }
     od;
     if
     :: changed -> skip
     :: found && !changed ->
       try_enter(s, v);
       if :: in -> break :: else fi
     :: else ->
       if
       :: made == 0 ->
         atomic { free_head != 0 -> made = free_head; free_head = next[made]; key[made] = mine }
       :: else
       fi;
       atomic { version[made] = version[made] + 1; next[made] = h }
       atomic {
#ifdef BUG_NO_RESCAN
         next[made] = head;
         in = true;
#else
         in = (head == h && !tag_changed[me]);
#endif
         if
         :: in ->
           head = made; change_tag();
           in_use[mine]++;
           assert(in_use[mine] == 1);
           linked[made] = true;
           enter(made, mine);
           s = made; v = version[made]; made = 0
         :: else
         fi
       }
       if :: in -> break :: else -> version[made] = version[made] + 1 fi
     fi
  od;
  if :: made != 0 -> give_free(made); made = 0 :: else fi
}

proctype Producer(byte me; byte each) {
  byte k, mine, h, s, v, made;
  byte of_key = 9, at, of_version; /* the handle */
  bool found, changed, in;
  for (k : 1 .. each) {
    atomic {
      if :: mine = 0 :: mine = 1 fi;
      in = false
    }
    if
    :: of_key == mine -> try_enter(at, of_version)
    :: else
    fi;
    if
    :: !in ->
      find_or_make();
      atomic { of_key = mine; at = s; of_version = v; h = 0; s = 0; v = 0; found = false; changed = false }
    :: else
    fi
  }
  done++
}

inline visit(s, queue) {
  atomic {
    queue?place ->
    inside[s]--;
    k = key[s];
    assert(place == visited[k]);
    visited[k]++;
    assert(broken[s] == broken_key[k]);
    if
    :: may_break && k == 0 -> may_break = false; broken[s] = true; broken_key[k] = true
    :: true
    fi;
    k = 0; place = 0
  }
}

inline unlink(s) {
  do
  :: atomic {
       head == s -> head = next[s]; /* only this thread unlinks, so the index says enough */
#ifndef BUG_NO_TAG
       change_tag()
#endif
     }
     break
  :: atomic { head != s -> h = head }
     do
     :: next[h] == s -> break
     :: else -> h = next[h]
     od;
     next[h] = next[s];
     h = 0;
#ifndef BUG_NO_TAG
     atomic { change_tag() }
#endif
     break
  od
}

inline take_back(s) {
#ifdef BUG_KILL_BUSY
  linked[s] && inside[s] == 0 && MAY_GO(s);
  atomic { version[s]++; linked[s] = false; in_use[key[s]]-- }
#else
  atomic { linked[s] && inside[s] == 0 && MAY_GO(s) -> version[s]++; linked[s] = false; in_use[key[s]]-- }
#endif
#ifdef BUG_EARLY_FREE
  give_free(s);
  unlink(s)
#else
  unlink(s);
  give_free(s)
#endif
}

/* The serial node of the graph: visits the oldest task of any stream, takes back any idle one. */
proctype Arriver() {
  byte place, k, h;
  do
  :: visit(1, tasks_1)
  :: visit(2, tasks_2)
  :: visit(3, tasks_3)
  :: take_back(1)
  :: take_back(2)
  :: take_back(3)
  :: atomic { done == 2 && inside[1] + inside[2] + inside[3] == 0 -> break }
  od
}

init {
  byte s, count;
  atomic {
    /* Two idle streams of tasks that have been before, and one that is free. */
    version[1] = 2; key[1] = 0; in_use[0] = 1; linked[1] = true;
    version[2] = 2; key[2] = 1; in_use[1] = 1; linked[2] = true;
    head = 2; next[2] = 1; free_head = 3;
    run Producer(0, FIRST_EACH); run Producer(1, SECOND_EACH); run Arriver()
  }
  _nr_pr == 1;
  atomic {
    assert(visited[0] + visited[1] == ALL);
    s = head;
    do
    :: s == 0 -> break
    :: else -> assert(linked[s] && count < STREAMS); count++; s = next[s]
    od;
    assert(count == in_use[0] + in_use[1]);
    s = free_head;
    do
    :: s == 0 -> break
    :: else -> assert(!linked[s] && !IN_USE(version[s]) && count < STREAMS); count++; s = next[s]
    od;
    assert(count == STREAMS - 1)
  }
}
