"""Embedded pairs: two results from the same stages, whose difference estimates the error.

`dd.integrate` chooses its steps by it. In a model, whose cells share the time steps of the network,
they are schemes of fixed step like any other. The result of higher order is what goes on.

A tolerance means the same to every pair, as `Tableau.caution` says; what is left of the errors in
the end depends on whether the equations forget them. Pairs of order 5 have negative weights: at a
fixed step that is too long, as in the upstroke of AdEx, they may go where no solution is.

Sources: the papers named, and Hairer, Norsett & Wanner (1993), Solving Ordinary Differential
Equations I, section II.4.
"""

from distdyn.core.integrators.runge_kutta import AbstractRungeKutta
from distdyn.core.integrators.tableau import tableau


class HeunEuler(AbstractRungeKutta):
    """Heun's scheme with Euler's: orders 2 and 1."""

    tableau = tableau([[], [1]], [1 / 2, 1 / 2], lower=[1, 0])


class RKF12(AbstractRungeKutta):
    """Orders 2 and 1. Source: Fehlberg (1969), NASA Technical Report R-315."""

    tableau = tableau(
        [[], [1 / 2], [1 / 256, 255 / 256]],
        [1 / 512, 255 / 256, 1 / 512],
        lower=[1 / 256, 255 / 256, 0],
    )


class BogackiShampine(AbstractRungeKutta):
    """Orders 3 and 2. Source: Bogacki & Shampine (1989), Appl. Math. Lett. 2, 321."""

    tableau = tableau(
        [[], [1 / 2], [0, 3 / 4], [2 / 9, 1 / 3, 4 / 9]],
        [2 / 9, 1 / 3, 4 / 9, 0],
        lower=[7 / 24, 1 / 4, 1 / 3, 1 / 8],
    )


class RKF45(AbstractRungeKutta):
    """Orders 5 and 4. Source: Fehlberg (1969), NASA Technical Report R-315."""

    tableau = tableau(
        [
            [],
            [1 / 4],
            [3 / 32, 9 / 32],
            [1932 / 2197, -7200 / 2197, 7296 / 2197],
            [439 / 216, -8, 3680 / 513, -845 / 4104],
            [-8 / 27, 2, -3544 / 2565, 1859 / 4104, -11 / 40],
        ],
        [16 / 135, 0, 6656 / 12825, 28561 / 56430, -9 / 50, 2 / 55],
        lower=[25 / 216, 0, 1408 / 2565, 2197 / 4104, -1 / 5, 0],
    )


class CashKarp(AbstractRungeKutta):
    """Orders 5 and 4. Source: Cash & Karp (1990), ACM Trans. Math. Softw. 16, 201."""

    tableau = tableau(
        [
            [],
            [1 / 5],
            [3 / 40, 9 / 40],
            [3 / 10, -9 / 10, 6 / 5],
            [-11 / 54, 5 / 2, -70 / 27, 35 / 27],
            [1631 / 55296, 175 / 512, 575 / 13824, 44275 / 110592, 253 / 4096],
        ],
        [37 / 378, 0, 250 / 621, 125 / 594, 0, 512 / 1771],
        lower=[2825 / 27648, 0, 18575 / 48384, 13525 / 55296, 277 / 14336, 1 / 4],
    )


class DormandPrince(AbstractRungeKutta):
    """Orders 5 and 4. Source: Dormand & Prince (1980), J. Comput. Appl. Math. 6, 19."""

    tableau = tableau(
        [
            [],
            [1 / 5],
            [3 / 40, 9 / 40],
            [44 / 45, -56 / 15, 32 / 9],
            [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
            [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
            [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
        ],
        [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0],
        lower=[5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40],
    )
