/* SPDX-License-Identifier: MIT
 *
 * lease.pml - nb_bitmap_unlease() of a block of one index, against a free, a
 * hold that ends, and a claim.  Nobody may own an index of a block that has
 * been given back, and none may be lost if it has not.
 * -DNO_PIN: unlease does not look at the pins; -DNO_AGAIN: it does not look
 * at `mine` once more: must be found.
 */
bit free_ = 0, mine = 1;  /* allocated, by the holder */
bit leased = 1, moving = 0, unleased = 0;
byte pins = 0, owners = 1;

active proctype holder()
{
	atomic { moving == 0 -> moving = 1 };
	pins++;
	mine = 0;
	moving = 0;
	mine = 1;
	pins--;
	assert(!unleased);
	owners--;
	free_ = 1
}

active proctype claimer()
{
	if
	:: atomic { free_ == 1 -> free_ = 0; owners++ };
		assert(!unleased && owners == 1);
		owners--;
		free_ = 1
	:: atomic { free_ == 0 -> skip }
	fi
}

active proctype trimmer()
{
	bit taken, vacant;

	atomic { moving == 0 -> moving = 1 };
	if
	:: free_ != mine -> goto out
	:: else
	fi;
	if
	:: pins != 0 -> goto out
	:: else
	fi;
	atomic { taken = free_; free_ = 0 };
	atomic {
		vacant = (mine == taken);
		if
		:: vacant -> mine = 0
		:: else
		fi
	};
	if
	:: !vacant -> goto undo
	:: else
	fi;
	leased = 0;
#ifndef NO_PIN
	if
	:: pins != 0 -> leased = 1; goto undo
	:: else
	fi;
#endif
#ifndef NO_AGAIN
	if
	:: mine != 0 -> leased = 1; goto undo
	:: else
	fi;
#endif
	unleased = 1;
	assert(owners == 0 && mine == 0 && free_ == 0);
	goto out;
undo:
	if
	:: vacant -> mine = mine | taken
	:: else
	fi;
	free_ = free_ | taken;
out:
	moving = 0
}

/* When all is over the index is free, or the block has been given back. */
active proctype observer()
{
	(_nr_pr == 1);
	assert(owners == 0);
	assert((unleased && !free_ && !mine) || (!unleased && free_ && mine))
}
