/* SPDX-License-Identifier: MIT
 *
 * rundown.pml - the rundown word (if_table.h): two enter and leave, one
 * closes; completed exactly once, with nobody inside.
 * -DNO_CLOSED: entering does not look at the mark;
 * -DNO_LAST: whoever leaves a closed word completes: must be found.
 */
bit closed = 0;
byte flight = 0, inside = 0, completed = 0;

inline complete()
{
	completed++;
	assert(completed == 1 && inside == 0)
}

proctype user()
{
	byte seen;
	bit entered = 0, last = 0;

	seen = flight;
	do
	:: atomic {
#ifdef NO_CLOSED
			if
#else
			if
			:: closed -> break
			:: else
			fi;
			if
#endif
			:: flight == seen -> flight++; entered = 1; break
			:: else -> seen = flight
			fi
		}
	od;
	if
	:: entered ->
		inside++;
		assert(completed == 0);
		inside--;
		atomic {
#ifdef NO_LAST
			last = closed;
#else
			last = (closed && flight == 1);
#endif
			flight--
		};
		if
		:: last -> complete()
		:: else
		fi
	:: else
	fi
}

proctype closer()
{
	bit mine;

	atomic {
		mine = (!closed && flight == 0);
		closed = 1
	};
	if
	:: mine -> complete()
	:: else
	fi
}

init {
	atomic { run user(); run user(); run closer() };
	(_nr_pr == 1);
	assert(completed == 1 && flight == 0)
}
