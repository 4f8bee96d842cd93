"""Floquet multipliers of a cycle: eigenvalues of a product of transfer matrices, never formed.

The matrices P_i are split along the flow: in a basis of f(x_i) and its complement

    Q_(i+1)^T P_i Q_i = [ a_i  * ]
                        [  0  C_i],

so that the product of the a_i is the multiplier that is 1, and those of C_N ... C_1 are the others.
Orthogonal iteration, R_i = Q_(i+1)^T C_i Q_i upper triangular for all i, separates multipliers of
different size, also where they differ by more than the machine's precision; those of about the
same size stay together in a block, whose eigenvalues are then those of a small product.

Source: Fairgrieve & Jepson (1991), SIAM J. Numer. Anal. 28, 1446; Bojanczyk, Golub & Van Dooren
(1992), Proc. SPIE 1770, 31.
"""

import numpy as np
from jaxtyping import Complex128, Float64

_CYCLES = 12  # of orthogonal iteration, at most
_SEPARATED = 1e-10  # what may couple two blocks; its square is the relative error
_CONDITION = (
    1e4  # up to which neighbouring factors are multiplied, at the cost of as many roundings
)
_APART = 0.2  # sizes whose ratio is below this are worth separating


def multipliers(
    transfer: Float64[np.ndarray, "N n n"], flow: Float64[np.ndarray, "N n"]
) -> tuple[float, Complex128[np.ndarray, "n-1"]]:
    """The multipliers of a cycle.

    Args:
        transfer: matrices that carry a change of state from one end of an interval to the other.
        flow: f at the beginning of every interval.

    Returns:
        What was found for the one that is 1, and the others, largest first.
    """
    basis = np.linalg.qr(flow[:, :, None], mode="complete")[0]
    turned = np.einsum("iba,ibc,icd->iad", np.roll(basis, -1, axis=0), transfer, basis)
    return float(np.prod(turned[:, 0, 0])), product_eigenvalues(turned[:, 1:, 1:])


def product_eigenvalues(factors: Float64[np.ndarray, "N k k"]) -> Complex128[np.ndarray, "k"]:
    """The eigenvalues of factors[-1] ... factors[0], largest first, each to a relative accuracy."""
    size = factors.shape[1]
    if size <= 1:
        return np.prod(factors, axis=0).reshape(size).astype(np.complex128)
    factors = _grouped(factors)
    basis = np.eye(size)
    triangular = np.empty_like(factors)
    for cycle in range(_CYCLES):
        first = basis
        for i, factor in enumerate(factors):
            basis, triangular[i] = np.linalg.qr(factor @ basis)
        turn = first.T @ basis
        with np.errstate(divide="ignore"):
            sizes = np.log(np.abs(np.diagonal(triangular, axis1=1, axis2=2))).sum(0)
        splits = [k for k in range(1, size) if np.abs(turn[k:, :k]).max() < _SEPARATED]
        wanted = [k for k in range(1, size) if sizes[k] - sizes[k - 1] < np.log(_APART)]
        if cycle and set(wanted) <= set(splits):
            break
    found = []
    for a, b in zip([0, *splits], [*splits, size], strict=True):
        block = turn[a:b, a:b]
        for factor in triangular[::-1, a:b, a:b]:
            block = block @ factor
        found.append(np.linalg.eigvals(block).astype(np.complex128))
    values = np.concatenate(found)
    return values[np.argsort(-np.abs(values), kind="stable")]


def _grouped(factors: Float64[np.ndarray, "N k k"]) -> Float64[np.ndarray, "M k k"]:
    """Fewer factors with the same product, none of them worse conditioned than is harmless."""
    with np.errstate(divide="ignore", invalid="ignore"):
        conditions = np.linalg.cond(factors)
    groups, condition = [factors[0]], conditions[0]
    for factor, its_own in zip(factors[1:], conditions[1:], strict=True):
        condition *= its_own
        if condition <= _CONDITION:
            groups[-1] = factor @ groups[-1]
        else:
            groups.append(factor)
            condition = its_own
    return np.stack(groups)
