: Sodium and potassium channels of Traub & Miles (1991), as in benchmark 3 of Brette et al. (2007).

NEURON {
    SUFFIX traub
    RANGE g_Na, g_K, E_Na, E_K, V_T
    NONSPECIFIC_CURRENT i
    THREADSAFE
}

UNITS {
    (mV) = (millivolt)
    (mA) = (milliamp)
    (S) = (siemens)
}

PARAMETER {
    g_Na = 0.1 (S/cm2)
    g_K = 0.03 (S/cm2)
    E_Na = 50 (mV)
    E_K = -90 (mV)
    V_T = -63 (mV)
}

ASSIGNED {
    v (mV)
    i (mA/cm2)
}

STATE { m h n }

INITIAL { : all gates are closed
    m = 0
    h = 0
    n = 0
}

BREAKPOINT {
    SOLVE gates METHOD cnexp
    i = g_Na * m * m * m * h * (v - E_Na) + g_K * n * n * n * n * (v - E_K)
}

DERIVATIVE gates {
    LOCAL u
    u = v - V_T
    m' = 1.28 * quotient((13 - u) / 4) * (1 - m) - 1.4 * quotient((u - 40) / 5) * m
    h' = 0.128 * exp((17 - u) / 18) * (1 - h) - 4 / (1 + exp((40 - u) / 5)) * h
    n' = 0.16 * quotient((15 - u) / 5) * (1 - n) - 0.5 * exp((10 - u) / 40) * n
}

FUNCTION quotient(x) { : x / (exp(x) - 1), by its series where both are small
    if (fabs(x) < 1e-5) {
        quotient = 1 - x / 2
    } else {
        quotient = x / (exp(x) - 1)
    }
}
