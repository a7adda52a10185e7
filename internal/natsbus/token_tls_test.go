package natsbus_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
)

// Goal: processes that start at different times have the same certificate, and others have
// another.
func TestRoutesByToken_isOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		certificate := func(job, token string) []byte {
			c, err := natsbus.RoutesByToken(job, token)
			require.NoError(t, err)
			return c.Certificates[0].Certificate[0]
		}
		first := certificate("job", "token")
		time.Sleep(1000 * time.Hour)
		require.Equal(t, first, certificate("job", "token"))
		require.NotEqual(t, first, certificate("job", "other"))
		require.NotEqual(t, first, certificate("other", "token"))
	})
}
