# SPDX-License-Identifier: Apache-2.0
"""The order of the pivots and the pattern of the factors, found once for one sparsity pattern and typical values.

The pivots are Markowitz's with threshold: among the entries that are not small beside the largest one of their row,
take the one with the fewest products (r_i - 1)(c_j - 1) in what is left, r and c the entries of its row and column.
The typical values are eliminated on the way. Size and pattern alone would not do: in a network tableau the balances
around a loop, each matched with a flow of that loop, have large diagonal entries and a determinant of zero.
The pattern is never made symmetric: a tableau is far from symmetric, and with pivots fixed in advance the pattern of
the factors follows exactly from the rows themselves.

References: H. M. Markowitz, The elimination form of the inverse, Management Science 3 (1957), doi:10.1287/mnsc.3.3.255;
I. S. Duff, A. M. Erisman, J. K. Reid, Direct Methods for Sparse Matrices, 2nd ed., Oxford 2017, ch. 5, 7 and 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Wide = NDArray[np.int64]
    Indices = NDArray[np.uint32]

# Functions that only compiled ones call need no way in from Python: half the time to compile them.
inner = njit(cache=True, error_model="numpy", no_rewrites=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
outer = njit(cache=True, error_model="numpy", no_rewrites=True, no_cfunc_wrapper=True)

# An entry may become a pivot if it is at least this share of the largest entry of its row.
_THRESHOLD = 0.1
# So many rows and columns are looked through for a pivot, once one was found.
_LOOKS = 16


class Pattern(NamedTuple):
    """The factors of one pattern, row after row: columns of L ascending, the diagonal, columns of U ascending.

    Row k of the factors is row `row_at[k]` of the matrix, column k is column `column_at[k]`.

    starts      first slot of each row, (n + 1,)
    diagonal    slot of each diagonal entry, (n,)
    columns     column of each slot, (n_slots,)
    targets     slot changed by each product of the factorisation, in the order of the products, (n_products,)
    entry_starts, entries, entry_slots
                matrix entries of each row: place of the value in the matrix, and in the factors, (n + 1,), (n_entries,)
    """

    row_at: Indices
    column_at: Indices
    starts: Indices
    diagonal: Indices
    columns: Indices
    targets: Indices
    entry_starts: Indices
    entries: Indices
    entry_slots: Indices


@inner
def append(lists: Wide, pool: Ints, values: Floats, i: int, index: int, value: float) -> tuple[Ints, Floats]:
    """Append an entry to list i and return the pools, grown if need be.

    lists: start, length and room of each list, in its last row the end of the used pool, (n + 1, 3).
    pool, values: indices and values of all entries.
    """
    start, length, room = lists[i, 0], lists[i, 1], lists[i, 2]
    if length == room:
        end = lists[-1, 0]
        wider = 2 * room + 4
        if end + wider > pool.size:
            more_pool = np.empty(2 * pool.size + wider, np.int32)
            more_values = np.empty(2 * pool.size + wider)
            for p in range(end):  # a slice would compile the text of its errors too: two seconds
                more_pool[p], more_values[p] = pool[p], values[p]
            pool, values = more_pool, more_values
        for p in range(length):
            pool[end + p] = pool[start + p]
            values[end + p] = values[start + p]
        lists[i, 0], lists[i, 2] = end, wider
        lists[-1, 0] = end + wider
        start = end
    pool[start + length] = index
    values[start + length] = value
    lists[i, 1] = length + 1
    return pool, values


@inner
def remove(lists: Wide, pool: Ints, values: Floats, i: int, index: int) -> float:
    """Remove the entry `index` from list i and return its value; the order of a list means nothing."""
    p = lists[i, 0]
    while pool[p] != index:
        p += 1
    value: float = values[p]
    last = lists[i, 0] + lists[i, 1] - 1
    pool[p], values[p] = pool[last], values[last]
    lists[i, 1] -= 1
    return value


@inner
def file(bins: Ints, i: int, count: int) -> None:
    """Move line i to the bin of lines with `count` entries; -1 takes it out.

    bins: the first line of each bin, and of each line the next, the previous and its bin, (4, n + 1); -1 is none.
    """
    following, previous, present = bins[1, i], bins[2, i], bins[3, i]
    if present >= 0:
        if previous >= 0:
            bins[1, previous] = following
        else:
            bins[0, present] = following
        if following >= 0:
            bins[2, following] = previous
    bins[3, i] = count
    if count >= 0:
        first = bins[0, count]
        bins[1, i] = first
        bins[2, i] = -1
        bins[0, count] = i
        if first >= 0:
            bins[2, first] = i


@inner
def row_candidate(i: int, rows: Wide, pool: Ints, values: Floats, columns: Wide) -> tuple[int, float]:
    """Return the shortest column of row i with an acceptable entry (-1 is none) and its share of the row's largest."""
    largest = 0.0
    for p in range(rows[i, 0], rows[i, 0] + rows[i, 1]):
        largest = max(largest, abs(values[p]))
    best = -1
    share = 0.0
    for p in range(rows[i, 0], rows[i, 0] + rows[i, 1]):
        size = abs(values[p])
        if size >= _THRESHOLD * largest and size > 0.0:
            j = int(pool[p])
            if (
                best < 0
                or columns[j, 1] < columns[best, 1]
                or (columns[j, 1] == columns[best, 1] and size > share * largest)
            ):
                best = j
                share = size / largest
    return best, share


@inner
def column_candidate(
    j: int, rows: Wide, pool: Ints, values: Floats, columns: Wide, column_pool: Ints
) -> tuple[int, float]:
    """Return the shortest row of column j with an acceptable entry (-1 is none) and its share of the row's largest.

    The only entry of a column is always acceptable unless it is zero: nothing is eliminated with it.
    """
    best = -1
    share = 0.0
    for q in range(columns[j, 0], columns[j, 0] + columns[j, 1]):
        i = int(column_pool[q])
        if best >= 0 and rows[i, 1] > rows[best, 1]:
            continue
        largest = 0.0
        size = 0.0
        for p in range(rows[i, 0], rows[i, 0] + rows[i, 1]):
            largest = max(largest, abs(values[p]))
            if pool[p] == j:
                size = abs(values[p])
        acceptable = size > 0.0 and (size >= _THRESHOLD * largest or columns[j, 1] == 1)
        if acceptable and (best < 0 or rows[i, 1] < rows[best, 1] or size > share * largest):
            best = i
            share = size / largest
    return best, share


@inner
def next_pivot(
    rows: Wide, pool: Ints, values: Floats, columns: Wide, column_pool: Ints, row_bins: Ints, column_bins: Ints
) -> tuple[int, int]:
    """Return row and column of the next pivot, -1 and -1 where no acceptable one is left."""
    row, column = -1, -1
    cost = np.int64(-1)
    share = 0.0
    looks = 0
    for count in range(1, row_bins.shape[1]):
        if cost >= 0 and (cost <= (count - 1) * (count - 1) or looks >= _LOOKS):
            break
        j = column_bins[0, count]
        while j >= 0 and (cost < 0 or looks < _LOOKS):
            i, s = column_candidate(j, rows, pool, values, columns, column_pool)
            if i >= 0:
                c = (rows[i, 1] - 1) * (count - 1)
                if cost < 0 or c < cost or (c == cost and s > share):
                    row, column, cost, share = i, int(j), c, s
            looks += 1
            j = column_bins[1, j]
        i = row_bins[0, count]
        while i >= 0 and (cost < 0 or looks < _LOOKS):
            k, s = row_candidate(i, rows, pool, values, columns)
            if k >= 0:
                c = (columns[k, 1] - 1) * (count - 1)
                if cost < 0 or c < cost or (c == cost and s > share):
                    row, column, cost, share = int(i), k, c, s
            looks += 1
            i = row_bins[1, i]
    return row, column


@outer
def choose_pivots(starts: Ints, entries: Ints, sample: Floats) -> tuple[Ints, Ints, int]:
    """Return the rows (n,) and columns (n,) of the pivots in their order, and how many were found.

    starts, entries: the pattern by rows, int32 (n + 1,) and (n_entries,). sample: typical values, (n_entries,).
    """
    n = starts.size - 1
    rows = np.zeros((n + 1, 3), np.int64)
    columns = np.zeros((n + 1, 3), np.int64)
    pool = np.empty(4 * entries.size + 16, np.int32)
    values = np.empty(pool.size)
    column_pool = np.empty(pool.size, np.int32)
    unused = np.empty(pool.size)
    for i in range(n):
        for p in range(starts[i], starts[i + 1]):
            pool, values = append(rows, pool, values, np.int64(i), np.int64(entries[p]), sample[p])
            column_pool, unused = append(columns, column_pool, unused, np.int64(entries[p]), np.int64(i), 0.0)
    row_bins = np.full((4, n + 1), -1, np.int32)
    column_bins = np.full((4, n + 1), -1, np.int32)
    for k in range(n - 1, -1, -1):
        file(row_bins, np.int64(k), rows[k, 1])
        file(column_bins, np.int64(k), columns[k, 1])
    row_at = np.empty(n, np.int32)
    column_at = np.empty(n, np.int32)
    place = np.full(n, -1, np.int64)
    for step in range(n):
        r, c = next_pivot(rows, pool, values, columns, column_pool, row_bins, column_bins)
        if r < 0:
            return row_at, column_at, step
        row_at[step] = r
        column_at[step] = c
        file(row_bins, r, np.int64(-1))
        file(column_bins, c, np.int64(-1))
        pivot = remove(rows, pool, values, r, c)
        remove(columns, column_pool, unused, c, r)
        for t in range(rows[r, 1]):
            remove(columns, column_pool, unused, np.int64(pool[rows[r, 0] + t]), r)
        for q in range(columns[c, 1]):
            i = np.int64(column_pool[columns[c, 0] + q])  # type: ignore[assignment]  # compiled
            factor = remove(rows, pool, values, i, c) / pivot
            for p in range(rows[i, 0], rows[i, 0] + rows[i, 1]):
                place[pool[p]] = p - rows[i, 0]
            known = rows[i, 1]
            for t in range(rows[r, 1]):
                j = np.int64(pool[rows[r, 0] + t])
                change = -factor * values[rows[r, 0] + t]
                if place[j] >= 0:
                    values[rows[i, 0] + place[j]] += change
                else:
                    pool, values = append(rows, pool, values, i, j, change)
                    column_pool, unused = append(columns, column_pool, unused, j, i, 0.0)
            for p in range(rows[i, 0], rows[i, 0] + known):
                place[pool[p]] = -1
            file(row_bins, i, rows[i, 1])
        for t in range(rows[r, 1]):
            j = np.int64(pool[rows[r, 0] + t])
            file(column_bins, j, columns[j, 1])
    return row_at, column_at, n


@outer
def factor_rows(starts: Ints, columns: Ints) -> tuple[Ints, Ints, Ints]:
    """Merge rows into the exact pattern of the factors: starts (n + 1,), diagonal slots (n,), columns (n_slots,).

    Row i begins as the matrix row i; for each of its columns k < i in ascending order the U part of row k joins it.
    starts, columns: the pattern by rows in pivot order, ascending in each row, its diagonal in it.
    """
    n = starts.size - 1
    factor_starts = np.zeros(n + 1, np.int32)
    diagonal = np.zeros(n, np.int32)
    slots = np.empty(2 * columns.size + n, np.int32)
    following = np.empty(n + 1, np.int32)  # the row under construction: a linked list that starts and ends at n
    used = 0
    for i in range(n):
        last = n
        for p in range(starts[i], starts[i + 1]):
            following[last] = columns[p]
            last = columns[p]
        following[last] = n
        length = starts[i + 1] - starts[i]
        k = following[n]
        while k < i:
            at = k
            for p in range(diagonal[k] + 1, factor_starts[k + 1]):
                j = slots[p]
                while following[at] < j:
                    at = following[at]
                if following[at] != j:
                    following[j] = following[at]
                    following[at] = j
                    length += 1
                at = j
            k = following[k]
        if used + length > slots.size:
            larger = np.empty(2 * slots.size + length, np.int32)
            for q in range(used):
                larger[q] = slots[q]
            slots = larger
        k = following[n]
        while k < n:
            slots[used] = k
            if k == i:
                diagonal[i] = used
            used += 1
            k = following[k]
        factor_starts[i + 1] = used
    return factor_starts, diagonal, slots[:used]


@outer
def factor_products(
    starts: Ints, columns: Ints, factor_starts: Ints, diagonal: Ints, factor_columns: Ints
) -> tuple[Ints, Ints]:
    """List the slot of each matrix entry (n_entries,) and the slot that each product changes (n_products,)."""
    n = diagonal.size
    n_products = 0
    for i in range(n):
        for q in range(factor_starts[i], diagonal[i]):
            k = factor_columns[q]
            n_products += factor_starts[k + 1] - diagonal[k] - 1
    targets = np.empty(n_products, np.int32)
    entry_slots = np.empty(columns.size, np.int32)
    slot_of = np.empty(n, np.int32)
    o = 0
    for i in range(n):
        for q in range(factor_starts[i], factor_starts[i + 1]):
            slot_of[factor_columns[q]] = q
        for p in range(starts[i], starts[i + 1]):
            entry_slots[p] = slot_of[columns[p]]
        for q in range(factor_starts[i], diagonal[i]):
            k = factor_columns[q]
            for u in range(diagonal[k] + 1, factor_starts[k + 1]):
                targets[o] = slot_of[factor_columns[u]]
                o += 1
    return entry_slots, targets


def permuted(
    starts: Ints, columns: Ints, row_at: NDArray[np.intp], column_at: NDArray[np.intp]
) -> tuple[Ints, Ints, NDArray[np.intp]]:
    """Permute a pattern by rows: row k becomes the old row `row_at[k]`, column k the old column `column_at[k]`.

    Returns starts, columns ascending in each row, and where each entry stood before.
    """
    n = row_at.size
    new_row = np.argsort(row_at)
    new_column = np.argsort(column_at)
    rows = new_row[np.repeat(np.arange(n), np.diff(starts))]
    key = rows * n + new_column[columns]
    entries = np.argsort(key)
    new_starts = np.zeros(n + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=n), out=new_starts[1:])
    return new_starts, (key[entries] % max(n, 1)).astype(np.int32), entries


def plan(starts: Ints, columns: Ints, values: Floats) -> Pattern:
    """Choose the pivots for typical values and lay out the factors of a square pattern by rows.

    Where the typical values are singular, or not numbers, random values of about their size stand in for them: the
    pattern must have a full matching.
    """
    n = starts.size - 1
    pivot_rows, pivot_columns, found = choose_pivots(starts, columns, values)
    rng = np.random.default_rng(0)
    while found < n:
        noise = rng.uniform(0.5, 1.0, values.size)
        pivot_rows, pivot_columns, found = choose_pivots(starts, columns, noise)
    row_at, column_at = pivot_rows.astype(np.intp), pivot_columns.astype(np.intp)
    new_starts, new_columns, entries = permuted(starts, columns, row_at, column_at)
    factor_starts, diagonal, factor_columns = factor_rows(new_starts, new_columns)
    entry_slots, targets = factor_products(new_starts, new_columns, factor_starts, diagonal, factor_columns)
    arrays = (
        row_at, column_at, factor_starts, diagonal, factor_columns, targets, new_starts, entries, entry_slots,
    )  # fmt: skip
    return Pattern(*(a.astype(np.uint32) for a in arrays))
