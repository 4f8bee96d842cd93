: Threshold, reset and refractory time, which make a passive compartment an integrate-and-fire cell.
: While the cell is refractory, a conductance that all others are small against holds v.

NEURON {
    POINT_PROCESS Reset
    RANGE V_th, V_reset, t_ref, g_hold
    NONSPECIFIC_CURRENT i
}

UNITS {
    (mV) = (millivolt)
    (nA) = (nanoamp)
    (uS) = (microsiemens)
}

PARAMETER {
    V_th = -50 (mV)
    V_reset = -60 (mV)
    t_ref = 5 (ms)
    g_hold = 10000 (uS)
}

ASSIGNED {
    v (mV)
    i (nA)
    g (uS)
}

INITIAL {
    g = 0
    net_send(0, 1)
}

BREAKPOINT {
    i = g * (v - V_reset)
}

NET_RECEIVE(weight (uS)) {
    if (flag == 1) {
        WATCH (v > V_th) 2
        if (v > V_th) { : a start above it is no crossing
            net_send(0, 2)
        }
    } else if (flag == 2) {
        net_event(t)
        v = V_reset
        g = g_hold
        net_send(t_ref, 3)
    } else if (flag == 3) {
        g = 0
    }
}
